// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/explain/observed.hpp"

#include <arpa/inet.h>

namespace evnf::efw
{

std::optional<Packet> packet_of(const pkt &found, const std::string &interface)
{
    Packet p;
    p.src = Address(found.flow.saddr);
    p.dst = Address(found.flow.daddr);
    if (p.src.family() != found.flow.family || p.dst.family() != found.flow.family)
        return std::nullopt;
    p.in = interface;
    p.fragment = static_cast<pkt_frag>(found.frag);
    p.dscp = found.tos >> 2;
    p.length = static_cast<std::uint16_t>(found.l3_end - found.l3_off);
    if (found.vlans)
        p.vlan = found.vlan_tci[0] & 0xfff;
    if (found.l4 == PKT_L4_UNREAD) {
        p.header = Header::unread;
        return p;
    }
    p.protocol = found.flow.proto;
    if (found.l4 == PKT_L4_BAD && p.fragment == PKT_FRAG_NONE)
        p.header = Header::malformed;
    const auto transport = p.transport();
    if (has_ports(transport)) {
        p.sport = ntohs(found.flow.sport);
        p.dport = ntohs(found.flow.dport);
    }
    if (transport == Transport::tcp)
        p.tcp_flags = found.tcp_flags;
    if (transport == Transport::icmp)
        p.icmp = static_cast<std::uint16_t>(found.icmp_type << 8 | found.icmp_code);
    return p;
}

} // namespace evnf::efw
