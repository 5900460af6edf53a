// SPDX-License-Identifier: GPL-2.0-or-later
#include <cstdio>

#include "support/packet_fields.hpp"

namespace evnf::efw::model
{

namespace
{

using match::Field;

// A value that the rule means, if there is one.
template <class Value>
std::optional<Value> meant(Random &random, const Field<Value> &field)
{
    const auto values = field.values();
    if (!field.asked() || values.empty())
        return std::nullopt;
    return inside(random, values);
}

// A packet that the rule means, if it can be.
pkt packet_for(Random &random, const match::Match &m, const World &world)
{
    const int family = m.family ? m.family : below(random, 3) ? 4 : 6;
    pkt p = random_packet(random, family, world);
    if (const auto v = meant(random, m.src))
        p.flow.saddr = v->raw();
    if (const auto v = meant(random, m.dst))
        p.flow.daddr = v->raw();
    if (const auto v = meant(random, m.protocol))
        p.flow.proto = *v;
    if (const auto v = meant(random, m.sport))
        p.flow.sport = htons(*v);
    if (const auto v = meant(random, m.dport))
        p.flow.dport = htons(*v);
    if (const auto v = meant(random, m.icmp)) {
        p.icmp_type = static_cast<__u8>(*v >> 8);
        p.icmp_code = static_cast<__u8>(*v);
    }
    if (m.tcp_flags.asked() && !m.tcp_flags.negated)
        p.tcp_flags = static_cast<__u8>((p.tcp_flags & ~m.tcp_flags.mask) | m.tcp_flags.value);
    if (const auto v = meant(random, m.vlan))
        set_vlan(random, p, *v & 0xfff);
    if (const auto v = meant(random, m.dscp))
        set_dscp(random, p, *v & 63);
    if (const auto v = meant(random, m.fragment))
        p.frag = *v <= PKT_FRAG_LATER ? *v : __u8{PKT_FRAG_NONE};
    if (const auto v = meant(random, m.length))
        set_length(p, *v);
    for (const auto &use : m.sets)
        if (!use.negated)
            set_member(random, p, use, world);
    return p;
}

pkt same_flow(Random &random, pkt p)
{
    p.len = 14 + below(random, 1 << 24);
    p.ttl = static_cast<__u8>(random());
    return p;
}

} // namespace

pkt any_packet(Random &random, const std::vector<Rule> &rules, const World &world)
{
    pkt p = rules.empty() || below(random, 8) == 0
                ? random_packet(random, below(random, 3) ? 4 : 6, world)
                : packet_for(random, one_of(random, rules).match, world);
    settle(p);
    for (unsigned n = below(random, 3); n; --n)
        p = mutated(random, p, rules, world);
    return p;
}

std::vector<pkt> any_stream(Random &random, const std::vector<Rule> &rules, const World &world,
                            std::size_t n)
{
    std::vector<pkt> out;
    while (out.size() < n) {
        const unsigned kind = out.empty() ? 0 : below(random, 3);
        if (kind == 0)
            out.push_back(any_packet(random, rules, world));
        else if (kind == 1)
            out.push_back(mutated(random, one_of(random, out), rules, world));
        else
            out.push_back(same_flow(random, one_of(random, out)));
    }
    return out;
}

std::string describe(const pkt &p, const World &world)
{
    char rest[256];
    std::snprintf(rest, sizeof rest,
                  " proto %u sport %u dport %u l4 %u frag %u flags 0x%02x icmp %u/%u vlans %u "
                  "tci 0x%04x tos 0x%02x length %u in ",
                  p.flow.proto, ntohs(p.flow.sport), ntohs(p.flow.dport), p.l4, p.frag, p.tcp_flags,
                  p.icmp_type, p.icmp_code, p.vlans, p.vlan_tci[0], p.tos, length_of(p));
    return "IPv" + std::to_string(p.flow.family) + " " + Address(p.flow.saddr).text() + " -> " +
           Address(p.flow.daddr).text() + rest + world.interfaces.at(p.ifindex);
}

} // namespace evnf::efw::model
