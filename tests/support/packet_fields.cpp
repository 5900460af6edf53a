// SPDX-License-Identifier: GPL-2.0-or-later
#include "support/packet_fields.hpp"

namespace evnf::efw::model
{

using match::Ranges;

namespace
{

__u8 any_l4(Random &random)
{
    const unsigned kind = below(random, 32);
    return kind == 0 ? PKT_L4_BAD : kind == 1 ? PKT_L4_UNREAD : PKT_L4_OTHER;
}

} // namespace

void set_length(pkt &p, unsigned length)
{
    p.l3_off = static_cast<__u16>(14 + 4 * p.vlans);
    p.l3_end = p.l3_off + length;
}

void set_vlan(Random &random, pkt &p, std::optional<unsigned> id)
{
    const unsigned length = length_of(p);
    p.vlans = id ? static_cast<__u8>(1 + below(random, 2)) : 0;
    for (auto &tci : p.vlan_tci) // without a tag it is what the packet before had
        tci = static_cast<__u16>(random());
    if (id)
        p.vlan_tci[0] = static_cast<__u16>((p.vlan_tci[0] & 0xf000) | (*id & 0xfff));
    set_length(p, length);
}

void set_dscp(Random &random, pkt &p, unsigned dscp)
{
    p.tos = static_cast<__u8>(dscp << 2 | below(random, 4));
}

__u32 any_interface(Random &random, const World &world)
{
    return std::next(world.interfaces.begin(),
                     below(random, static_cast<unsigned>(world.interfaces.size())))
        ->first;
}

void settle(pkt &p)
{
    if (p.flow.family == 4) {
        p.flow.saddr.w[0] = p.flow.saddr.w[1] = p.flow.daddr.w[0] = p.flow.daddr.w[1] = 0;
        p.flow.saddr.w[2] = p.flow.daddr.w[2] = htonl(0xffff);
    }
    const __u8 proto = p.flow.proto;
    const bool ports = proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP;
    const bool icmp = p.flow.family == 4 ? proto == IPPROTO_ICMP : proto == IPPROTO_ICMPV6;
    if (p.l4 == PKT_L4_BAD && !ports && !icmp)
        p.l4 = PKT_L4_OTHER;
    if (p.l4 != PKT_L4_UNREAD && p.frag == PKT_FRAG_LATER)
        p.l4 = PKT_L4_FRAGMENT;
    else if (p.l4 != PKT_L4_UNREAD && p.l4 != PKT_L4_BAD)
        p.l4 = ports ? PKT_L4_PORTS : icmp ? PKT_L4_ICMP : PKT_L4_OTHER;
    if (p.l4 != PKT_L4_PORTS)
        p.flow.sport = p.flow.dport = 0;
    if (p.l4 != PKT_L4_PORTS || proto != IPPROTO_TCP)
        p.tcp_flags = 0;
    if (p.l4 != PKT_L4_ICMP)
        p.icmp_type = p.icmp_code = 0;
}

pkt random_packet(Random &random, int family, const World &world)
{
    static constexpr __u8 protocols[] = {6, 6, 6, 17, 17, 132, 47, 1, 58, 0, 255, 50};
    static constexpr __u8 types[] = {0, 3, 8, 128, 129, 135, 255};
    pkt p{};
    p.len = 14 + below(random, 1 << 24); // counters of bytes tell packets apart by it
    p.ttl = static_cast<__u8>(random());
    p.ifindex = any_interface(random, world);
    p.flow.family = static_cast<__u8>(family);
    p.flow.saddr = any_address(random, family).raw();
    p.flow.daddr = any_address(random, family).raw();
    if (family == 6 && below(random, 8) == 0) // IPv4-mapped, on an IPv6 wire
        p.flow.saddr = any_address(random, 4).raw();
    p.flow.proto = one_of(random, protocols);
    p.flow.sport = htons(any_port(random));
    p.flow.dport = htons(any_port(random));
    p.tcp_flags = static_cast<__u8>(random());
    p.icmp_type = one_of(random, types);
    p.icmp_code = static_cast<__u8>(below(random, 3));
    set_dscp(random, p, static_cast<unsigned>(random()) & 63);
    p.frag = below(random, 12) ? __u8{PKT_FRAG_NONE} : static_cast<__u8>(1 + below(random, 2));
    p.l4 = any_l4(random);
    set_length(p, any_length(random));
    set_vlan(random, p, below(random, 4) ? std::nullopt : std::optional(below(random, 4096)));
    return p;
}

void set_member(Random &random, pkt &p, const match::SetUse &use, const World &world)
{
    using match::SetKey;
    const Set &set = world.sets.at(use.set);
    if (set.empty())
        return;
    const bool source =
        use.key == SetKey::saddr || use.key == SetKey::sport || use.key == SetKey::saddr_sport;
    const Element &e = one_of(random, set);
    if (e.address)
        (source ? p.flow.saddr : p.flow.daddr) = inside(random, Ranges<Address>{*e.address}).raw();
    if (e.port)
        (source ? p.flow.sport : p.flow.dport) =
            htons(inside(random, Ranges<std::uint16_t>{*e.port}));
}

} // namespace evnf::efw::model
