// SPDX-License-Identifier: GPL-2.0-or-later
// Rules over few values for each field, and all packets that such rules can tell apart:
// few enough to look at every one. What a rule means is said here once more, as plainly
// as can be.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "vnfs/efw/packet.hpp"
#include "vnfs/efw/rule.hpp"

namespace evnf::efw::universe
{

using Random = std::mt19937_64;

inline unsigned below(Random &random, unsigned n)
{
    return static_cast<unsigned>(random() % n);
}

// What rules ask for besides family and protocol.
enum Asked {
    a_src,
    a_dst,
    a_ports,
    a_icmp,
    a_flags,
    a_in,
    a_vlan,
    a_dscp,
    a_length,
    a_sets,
    askeds
};
using Fields = std::vector<Asked>; // each once

Fields any_fields(Random &random, unsigned n);
Rule any_rule(Random &random, const Fields &fields);
std::vector<Rule> any_rules(Random &random, const Fields &fields, unsigned n);

// One packet of each kind that rules which ask for these can tell apart.
std::vector<Packet> all_packets(const Fields &fields);

// Unseen: it may mean the packet, which does not show all that it asks for. Such a rule
// leaves the packet to the slow path.
enum class Seen { no, yes, unseen };
Seen look(const match::Match &match, const Packet &packet);
inline bool means(const match::Match &match, const Packet &packet)
{
    return look(match, packet) != Seen::no;
}

// What becomes of a packet: the rules with limits that may take it, then the one that
// does. The default is the rule after the last.
struct Fate {
    std::vector<std::size_t> before;
    std::size_t rule = 0;
    efw_action action = EFW_DROP;
};
Fate fate(const std::vector<Rule> &rules, efw_action otherwise, const Packet &packet);
// Without the rules with limits that do what is done anyway.
Fate without_idle(const std::vector<Rule> &rules, Fate fate);

} // namespace evnf::efw::universe
