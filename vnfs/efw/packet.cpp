// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/packet.hpp"

#include <netinet/in.h>

#include <algorithm>

#include "match/words.hpp"
#include "vnfs/efw/packet_words.hpp"

namespace evnf::efw
{

namespace
{

constexpr unsigned tcp_header = 20, sctp_header = 12, icmp_header = 8; // UDP's is as ICMP's

std::string flags_text(std::uint8_t flags)
{
    std::string out;
    for (const auto &f : flag_names)
        if (flags & f.value)
            out += (out.empty() ? "" : ",") + std::string(f.name);
    return out.empty() ? "none" : out;
}

std::string end_text(const Address &address, std::uint16_t port, bool has_port)
{
    if (!has_port)
        return address.text();
    const std::string host = address.is_v4() ? address.text() : "[" + address.text() + "]";
    return host + ":" + std::to_string(port);
}

} // namespace

bool has_ports(Transport transport)
{
    return transport == Transport::tcp || transport == Transport::udp ||
           transport == Transport::sctp;
}

bool hides_header(Transport transport)
{
    return transport == Transport::fragment || transport == Transport::malformed ||
           transport == Transport::unread;
}

bool is_extension_header(std::uint8_t protocol)
{
    return protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_ROUTING ||
           protocol == IPPROTO_FRAGMENT || protocol == IPPROTO_DSTOPTS || protocol == IPPROTO_AH;
}

Transport Packet::transport() const
{
    if (header == Header::unread)
        return Transport::unread;
    if (fragment != PKT_FRAG_NONE)
        return Transport::fragment;
    if (header == Header::malformed)
        return Transport::malformed;
    if (family() == 4 ? protocol == IPPROTO_ICMP : protocol == IPPROTO_ICMPV6)
        return Transport::icmp;
    return protocol == IPPROTO_TCP    ? Transport::tcp
           : protocol == IPPROTO_UDP  ? Transport::udp
           : protocol == IPPROTO_SCTP ? Transport::sctp
                                      : Transport::other;
}

std::uint16_t least_length(const Packet &packet)
{
    const bool fragment_header = packet.family() == 6 && packet.fragment != PKT_FRAG_NONE;
    const unsigned network = (packet.family() == 4 ? 20 : 40) + (fragment_header ? 8 : 0);
    switch (packet.transport()) {
    case Transport::tcp:
        return static_cast<std::uint16_t>(network + tcp_header);
    case Transport::udp:
    case Transport::icmp:
        return static_cast<std::uint16_t>(network + icmp_header);
    case Transport::sctp:
        return static_cast<std::uint16_t>(network + sctp_header);
    case Transport::other:
    case Transport::fragment:
    case Transport::malformed:
    case Transport::unread:
        break;
    }
    return static_cast<std::uint16_t>(network);
}

// SCTP's and ICMP's headers can only be cut short: before them are IPv4 options, or
// extension headers of any length.
std::uint16_t greatest_length(const Packet &packet)
{
    constexpr unsigned longest_ipv4_header = 60;
    if (packet.transport() != Transport::malformed || packet.family() != 4)
        return 0xffff;
    return packet.protocol == IPPROTO_SCTP   ? longest_ipv4_header + sctp_header - 1
           : packet.protocol == IPPROTO_ICMP ? longest_ipv4_header + icmp_header - 1
                                             : 0xffff;
}

std::string text_of(const Packet &packet)
{
    const auto transport = packet.transport();
    const bool ports = has_ports(transport);
    const std::string protocol = protocol_text(packet.protocol);
    std::string out = transport == Transport::unread    ? "unread"
                      : match::named_protocol(protocol) ? protocol
                                                        : "protocol " + protocol;
    out += " " + end_text(packet.src, packet.sport, ports) + " > " +
           end_text(packet.dst, packet.dport, ports);
    if (!packet.in.empty())
        out += " in " + packet.in;
    if (transport == Transport::tcp)
        out += " " + flags_text(packet.tcp_flags);
    if (transport == Transport::icmp)
        out +=
            " type " + std::to_string(packet.icmp >> 8) + "/" + std::to_string(packet.icmp & 0xff);
    if (packet.vlan)
        out += " vlan " + std::to_string(*packet.vlan);
    if (packet.dscp)
        out += " dscp " + std::to_string(packet.dscp);
    if (packet.fragment != PKT_FRAG_NONE)
        out += packet.fragment == PKT_FRAG_FIRST ? " frag first" : " frag later";
    if (packet.header == Header::malformed)
        out += " malformed";
    if (packet.length != least_length(packet))
        out += " len " + std::to_string(packet.length);
    for (const auto &use : packet.sets) {
        const auto *key = std::find_if(key_names.begin(), key_names.end(),
                                       [&](const KeyName &k) { return k.key == use.key; });
        out += " " + std::string(key->name) + (use.negated ? " != @" : " @") + use.set;
    }
    return out;
}

} // namespace evnf::efw
