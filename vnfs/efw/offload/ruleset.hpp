// SPDX-License-Identifier: GPL-2.0-or-later
// What netfilter runs, in one model for iptables and nftables: tables, chains, rules, and
// each rule as the steps that the kernel takes for a packet, in their order.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.hpp"
#include "match/match.hpp"
#include "vnfs/efw/rule.hpp"

namespace evnf::efw::offload
{

enum class Family { ip, ip6, inet, netdev, arp, bridge };
enum class Hook { none, ingress, prerouting, input, forward, output, postrouting, egress };

struct Counters {
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;
    friend bool operator==(const Counters &, const Counters &) = default;
};

// States of a packet for connection tracking, as bits.
enum CtState : std::uint8_t {
    CT_NEW = 1 << 0,
    CT_ESTABLISHED = 1 << 1,
    CT_RELATED = 1 << 2,
    CT_INVALID = 1 << 3,
    CT_UNTRACKED = 1 << 4,
    CT_SNAT = 1 << 5, // these two beside one of the others
    CT_DNAT = 1 << 6,
};

// Types of an address in the routing table `local`, as bits.
enum AddressType : std::uint8_t {
    ADDRESS_UNICAST = 1 << 0, // none of the others
    ADDRESS_LOCAL = 1 << 1,
    ADDRESS_BROADCAST = 1 << 2,
    ADDRESS_MULTICAST = 1 << 3,
};

// Steps that match. One that does not match ends its rule.

struct IsOneOf {
    std::vector<match::Match> matches;
    // What it asks for that is so, or not so, of all packets that are offloaded, though
    // not of others: see plan.hpp.
    std::string settled = {};
};
struct HasCtState {
    std::uint8_t states; // negation is resolved
};
struct HasMark {
    std::uint32_t value, mask;
    bool negated;
};
struct HasAddressType {
    bool source;
    std::uint8_t types;
    bool negated;
};
// What only netfilter can tell. `lasting`: its evaluation may change what later packets
// meet (a token bucket), so that it matters who gets this far.
struct Unknown {
    std::string what;
    bool lasting;
    std::optional<Limit> limit = {}; // of such a kind as efw's rules have too
    match::Interfaces out = {};      // by which it leaves; a route tells that of one packet
};

// Steps that do something.

struct Count {
};
struct NoTrack {
};
// What netfilter does beside deciding, or decides in a way that only it can carry out.
struct Effect {
    std::string what;
    // What efw's own rules have, too.
    enum class Kind { other, log, reset, prohibit } kind = Kind::other;
};
enum class Verdict { accept, drop, return_to_caller, jump, go_to, next_rule };
struct Decide {
    Verdict verdict;
    std::string chain = {}; // of jump and go_to
};
struct DecideByMap {
    std::vector<std::pair<match::Match, Decide>> elements; // no packet matches two of them
};

using Step = std::variant<IsOneOf, HasCtState, HasMark, HasAddressType, Unknown, Count, NoTrack,
                          Effect, Decide, DecideByMap>;

struct Place {
    std::size_t line = 0, column = 0;
};

struct Rule {
    std::string text;         // as its own tool writes it
    unsigned number = 0;      // in its chain, from 1
    std::uint64_t handle = 0; // nft's, or 0
    std::optional<Counters> counters = {};
    std::vector<Step> steps = {};
    std::string comment = {};
    // Where it stands in what was read, from 1, and where its steps do, if that is known.
    Place place = {};
    std::vector<Place> places = {};
};

struct Chain {
    std::string name;
    Hook hook = Hook::none; // none: reached by jump and goto alone
    std::string type = {};  // of a base chain: filter, nat or route
    int priority = 0;
    bool policy_drop = false;
    std::optional<Counters> counters = {}; // of the policy
    std::vector<std::string> devices = {}; // of ingress and egress
    std::vector<Rule> rules = {};
};

struct Table {
    Family family;
    std::string name;
    std::uint64_t handle = 0; // nft's, or 0
    bool iptables = false;    // its rules are written as iptables does
    bool legacy = false;
    std::vector<Chain> chains = {};
};

struct Ruleset {
    std::vector<Table> tables;
    bool flowtables = false; // flows that pass all rules by
    bool ct_helpers = false; // connections may be RELATED to others
    bool ct_zones = false;
    std::uint32_t generation = 0; // of nftables, when it was read live
    std::size_t legacy = 0;       // legacy_fingerprint(), likewise
};

// The output of iptables-save or ip6tables-save, with or without -c, of either variant:
// family 4 or 6. `name` is for errors, which say name:line:column.
Result<Ruleset> parse_iptables_save(std::string_view text, int family,
                                    const std::string &name = "iptables-save");

// The output of `nft -j list ruleset`. Tables of iptables-nft are in it too, with their xt
// expressions as unknown matches.
Result<Ruleset> parse_nft_json(std::string_view text);

// The live rules of this network namespace, by the programs that are installed. A
// consistent snapshot: nothing has changed while it was read.
Result<Ruleset> read_live();

// How often the rules of nftables have changed, those of iptables-nft among them.
Result<std::uint32_t> nft_generation();
// Another number if the rules of iptables-legacy are others.
Result<std::size_t> legacy_fingerprint();

} // namespace evnf::efw::offload
