// SPDX-License-Identifier: GPL-2.0-or-later
// Which packets the fast path may decide as netfilter would: a list of decisions, the
// first that matches holds, and what none matches goes to netfilter.
//
// A plan never says more than this. "drop": netfilter would drop the packet, and nothing
// else would have happened than that the counters in `counts` moved by one packet.
// "accept": netfilter would let the host forward the packet, likewise. "slow" says nothing.
// A packet that matches a decision but not its conditions goes to netfilter too.
//
// What the fast path must send to netfilter before it asks the plan:
//  - frames that are not IPv4 or IPv6, have a VLAN tag, or another destination than the
//    interface's own MAC address;
//  - IPv6 with an IPv4-mapped address (::ffff:0:0/96);
//  - IPv4 with options or a wrong header checksum, IPv6 with any extension header (also
//    "no next header"), a TTL or hop limit below 2, lengths that contradict each other;
//  - every fragment: with connection tracking, rules see the datagram put together again;
//  - TCP, UDP, SCTP and ICMP whose header is not whole (PKT_L4_BAD, PKT_L4_UNREAD).
//
// A plan holds while these stay: the rules (nft's generation, and the tables of
// iptables-legacy), and all of Host: the interfaces with their names, masters, forwarding
// and rp_filter; the routing table `local` and the rules of ip-rule(8) before it;
// nf_conntrack_checksum; whether connections are expected, and unless Plan::tracks whether
// any are tracked; IPsec policies. It also needs what nothing here can see: no program of
// others at tc ingress, no IPVS, no BPF programs attached to netfilter's hooks.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "vnfs/efw/offload/host.hpp"
#include "vnfs/efw/offload/ruleset.hpp"
#include "vnfs/efw/rule.hpp"

namespace evnf::efw::offload
{

constexpr std::uint32_t no_origin = ~0U;

struct Decision {
    efw::Rule rule;                    // its match, and accept, drop or slow
    std::uint8_t conditions = 0;       // of accept and drop: enum efw_condition, see abi.h
    std::uint32_t decider = no_origin; // what decides, in Plan::origins
    std::vector<std::uint32_t> counts; // the origins whose counters one packet moves
    std::uint32_t cause = 0;           // of slow: in Plan::causes
};

// A rule of netfilter, or a policy, and what the plan makes of it.
struct Origin {
    Family family;
    std::string table, chain, text;
    unsigned number = 0; // in its chain, from 1; 0: the chain's policy
    std::uint64_t handle = 0;
    std::uint64_t table_handle = 0;
    bool legacy = false;
    bool counted = false; // netfilter counts its packets
    bool several_counters = false;
    std::optional<Counters> counters = {}; // netfilter's own, when the rules were read

    enum class State {
        unseen,    // no packet that efw decides on gets there
        offloaded, // every packet that it decides
        in_part,
        followed, // it decides nothing itself (a jump, a return, a counter)
        left,     // to netfilter
    } state = State::unseen;
    std::uint32_t decisions = 0;     // accept and drop that it decides
    std::uint8_t conditions = 0;     // of any of them
    std::vector<std::string> causes; // why not all, for people
};

// Of one rule of a chain, or of its policy if there is none.
Origin origin_of(const Table &table, const Chain &chain, const Rule *rule);
// Of all rules and policies that packets of IPv4 and IPv6 may meet, as they stand.
std::vector<Origin> origins_of(const Ruleset &rules);
// Tells an origin from all others, and stays the same as long as it is the same rule.
// Rules of iptables-legacy have no identity but their words.
std::string key_of(const Origin &origin);

struct Plan {
    std::vector<Decision> decisions; // in order
    std::vector<Origin> origins;
    std::vector<std::string> causes;
    bool complete = true; // false: too many decisions or too slow, the rest is netfilter's
    bool tracks = false;  // it is right with Host::conntrack and without
};

constexpr std::size_t max_decisions = 65536;

Plan plan(const Ruleset &rules, const Host &host);

// For operators: what is offloaded, without the rules one by one.
nlohmann::json summary(const Plan &plan);
// One rule, whether it is offloaded, and why not.
nlohmann::json report(const Origin &origin);
// Both: the summary with every rule.
nlohmann::json report(const Plan &plan);

// A rule of netfilter by its place and text; and what conditions mean, a text each.
nlohmann::json origin_json(const Origin &origin);
nlohmann::json conditions_json(std::uint8_t conditions);

// What the plan is asked about, and what the conditions depend on.
struct Packet {
    int family = 4;
    Address src, dst;
    std::uint8_t protocol = 0;
    std::uint16_t sport = 0, dport = 0;
    std::uint16_t icmp = 0; // type * 256 + code
    std::uint8_t tcp_flags = 0;
    std::string in;
    std::uint8_t dscp = 0;
    std::uint16_t length = 0;
    std::uint8_t holds = 0; // enum efw_condition
};

// The decision that the plan has for a packet, or none: slow.
const Decision *decide(const Plan &plan, const Packet &packet);

} // namespace evnf::efw::offload
