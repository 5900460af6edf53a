// SPDX-License-Identifier: GPL-2.0-or-later
// What netfilter would say of one packet, for people who ask. Unlike a plan it also tells of
// what only netfilter can decide: what cannot be seen from here is assumed, one way and the
// other.
#pragma once

#include <string>
#include <vector>

#include "vnfs/efw/offload/course.hpp"

namespace evnf::efw::offload
{

enum class Fate { accept, drop, reject, unknown };

struct Case {
    std::vector<std::string> assuming; // all of it
    Fate fate;
    std::uint32_t decider = no_origin;    // a rule or policy, in Judge::origins()
    std::string cause = {};               // of what no rule decides, or nobody can say
    std::vector<std::uint32_t> path = {}; // what ended each chain, in order
};

struct Judgement {
    std::vector<Case> cases; // of which one holds
    bool complete = true;    // false: there are more
};

// Where the host's routes send a packet.
struct Way {
    std::string out = {};  // the interface by which it would leave
    std::string none = {}; // why it goes nowhere
};

// By asking the kernel, which applies rp_filter and ip-rule(8) too. Empty: it is for this host,
// or there are several ways, of which the kernel chooses by flow.
Way way_of(const Packet &packet);

class Judge
{
public:
    Judge(Ruleset rules, Host host);
    Judge(const Judge &) = delete;
    Judge &operator=(const Judge &) = delete;

    // `ct_states`: those of enum CtState that the packet may have once it is tracked. It is a
    // whole datagram without a VLAN tag. Its fate does not say what becomes of it after
    // netfilter, nor, without its way, whether it has a route; by which interface it leaves is
    // then assumed.
    [[nodiscard]] Judgement judge(const Packet &packet, std::uint8_t ct_states,
                                  const Way &way = {}) const;

    [[nodiscard]] const std::vector<Origin> &origins() const { return origins_; }
    [[nodiscard]] const Ruleset &rules() const { return rules_; }
    [[nodiscard]] const Host &host() const { return host_; }

private:
    // Why nothing can be said, without looking at any rule; empty: it can.
    [[nodiscard]] std::string beyond(const Packet &packet) const;

    Ruleset rules_;
    Host host_;
    Course courses_[2]{{.family = 4}, {.family = 6}}; // of rules_
    std::vector<Origin> origins_;
};

// The states that a packet may have, by the kernel's table of connections (of this network
// namespace, and no zone).
std::uint8_t possible_ct_states(const Packet &packet, bool expectations);

// {"verdict": "accept"|"drop"|"reject"|"unknown"|"depends", …}
nlohmann::json judgement_json(const Judgement &judgement, const std::vector<Origin> &origins);

} // namespace evnf::efw::offload
