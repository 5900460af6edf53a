// SPDX-License-Identifier: GPL-2.0-or-later
#include "support/packet_fields.hpp"

namespace evnf::efw::model
{

namespace
{

using match::Ranges;
using match::Space;

// First or last of a range, or beside it: after the greatest value comes the least.
template <class Value>
Value edge(Random &random, const Ranges<Value> &ranges)
{
    const auto &r = one_of(random, ranges);
    const Value v = below(random, 2) ? r.first : r.last;
    switch (below(random, 3)) {
    case 0:
        return v == Space<Value>::least() ? Space<Value>::greatest() : Space<Value>::before(v);
    case 1:
        return v == Space<Value>::greatest() ? Space<Value>::least() : Space<Value>::after(v);
    default:
        return v;
    }
}

// Puts one of the fields that the rule asks for to one of its edges.
void to_edge(Random &random, pkt &p, const match::Match &m, const World &world)
{
    switch (below(random, 12)) {
    case 0:
        if (m.src.asked())
            p.flow.saddr = edge(random, m.src.ranges).raw();
        break;
    case 1:
        if (m.dst.asked())
            p.flow.daddr = edge(random, m.dst.ranges).raw();
        break;
    case 2:
        if (m.protocol.asked())
            p.flow.proto = edge(random, m.protocol.ranges);
        break;
    case 3:
        if (m.sport.asked())
            p.flow.sport = htons(edge(random, m.sport.ranges));
        break;
    case 4:
        if (m.dport.asked())
            p.flow.dport = htons(edge(random, m.dport.ranges));
        break;
    case 5:
        if (m.icmp.asked()) {
            const auto v = edge(random, m.icmp.ranges);
            p.icmp_type = static_cast<__u8>(v >> 8);
            p.icmp_code = static_cast<__u8>(v);
        }
        break;
    case 6: // one flag
        p.tcp_flags = static_cast<__u8>(p.tcp_flags ^ (1U << below(random, 8)));
        break;
    case 7:
        if (m.vlan.asked())
            set_vlan(random, p, edge(random, m.vlan.ranges) & 0xfff);
        break;
    case 8:
        if (m.dscp.asked())
            set_dscp(random, p, edge(random, m.dscp.ranges) & 63);
        break;
    case 9:
        if (m.length.asked())
            set_length(p, edge(random, m.length.ranges));
        break;
    case 10:
        if (!m.sets.empty())
            set_member(random, p, one_of(random, m.sets), world);
        break;
    case 11:
        p.ifindex = any_interface(random, world);
        break;
    }
}

// Takes one field of another packet.
void take(Random &random, pkt &p, const pkt &other)
{
    switch (below(random, 12)) {
    case 0:
        p.flow.saddr = other.flow.saddr;
        break;
    case 1:
        p.flow.daddr = other.flow.daddr;
        break;
    case 2:
        p.flow.proto = other.flow.proto;
        break;
    case 3:
        p.flow.sport = other.flow.sport;
        break;
    case 4:
        p.flow.dport = other.flow.dport;
        break;
    case 5:
        p.icmp_type = other.icmp_type;
        p.icmp_code = other.icmp_code;
        break;
    case 6:
        p.tcp_flags = other.tcp_flags;
        break;
    case 7: {
        const unsigned length = length_of(p);
        p.vlans = other.vlans;
        std::copy(std::begin(other.vlan_tci), std::end(other.vlan_tci), p.vlan_tci);
        set_length(p, length);
        break;
    }
    case 8:
        p.tos = other.tos;
        break;
    case 9:
        set_length(p, length_of(other));
        break;
    case 10:
        p.frag = other.frag;
        p.l4 = other.l4;
        break;
    case 11: // the same addresses as the other family's, where it has them
        if (p.flow.family == 4)
            p.flow.family = 6;
        else if (p.flow.saddr.w[2] == htonl(0xffff) && p.flow.daddr.w[2] == htonl(0xffff))
            p.flow.family = 4;
        break;
    }
}

} // namespace

pkt mutated(Random &random, pkt p, const std::vector<Rule> &rules, const World &world)
{
    if (!rules.empty() && below(random, 3))
        to_edge(random, p, one_of(random, rules).match, world);
    else
        take(random, p, random_packet(random, p.flow.family, world));
    p.len = 14 + below(random, 1 << 24);
    settle(p);
    return p;
}

} // namespace evnf::efw::model
