// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/analysis/kinds.hpp"

#include <netinet/in.h>

namespace evnf::efw::analysis
{

namespace
{

using Protocols = match::Ranges<std::uint8_t>;

Packet packet(int family)
{
    Packet p;
    if (family == 4)
        p.src = p.dst = *Address::parse("0.0.0.0");
    return p;
}

Kind kind(const Packet &like, Protocols protocols, pkt_frag last)
{
    return {like.family(),
            like.transport(),
            std::move(protocols),
            match::Ranges<std::uint8_t>{{like.fragment, last}},
            {least_length(like), greatest_length(like)}};
}

Kind whole(int family, Header header, std::initializer_list<std::uint8_t> protocols)
{
    Packet p = packet(family);
    p.header = header;
    p.protocol = *protocols.begin();
    Protocols all;
    for (const auto protocol : protocols)
        all.push_back({protocol, protocol});
    return kind(p, match::normalized(std::move(all)), PKT_FRAG_NONE);
}

// Of IPv6 the protocol is what comes after extension headers.
Protocols all_protocols(int family)
{
    Protocols headers;
    for (unsigned p = 0; family == 6 && p < 256; ++p)
        if (const auto number = static_cast<std::uint8_t>(p); is_extension_header(number))
            headers.push_back({number, number});
    return match::complement(match::normalized(headers));
}

Kind other(int family, std::uint8_t icmp)
{
    Packet p = packet(family);
    p.protocol = IPPROTO_NONE;
    const Protocols known{{IPPROTO_TCP, IPPROTO_TCP},
                          {IPPROTO_UDP, IPPROTO_UDP},
                          {IPPROTO_SCTP, IPPROTO_SCTP},
                          {icmp, icmp}};
    const auto others = match::complement(match::normalized(known));
    return kind(p, match::intersection(others, all_protocols(family)), PKT_FRAG_NONE);
}

Kind fragments(int family, Header header)
{
    Packet p = packet(family);
    p.header = header;
    p.fragment = PKT_FRAG_FIRST;
    const bool read = header != Header::unread;
    return kind(p, read ? all_protocols(family) : Protocols{{0, 255}}, PKT_FRAG_LATER);
}

Kind unread()
{
    Packet p = packet(6);
    p.header = Header::unread;
    return kind(p, {{0, 255}}, PKT_FRAG_NONE);
}

} // namespace

const std::array<Kind, worlds> &all_kinds()
{
    constexpr std::uint8_t tcp = IPPROTO_TCP, udp = IPPROTO_UDP, sctp = IPPROTO_SCTP,
                           icmp = IPPROTO_ICMP, icmp6 = IPPROTO_ICMPV6;
    static const std::array<Kind, worlds> out{
        whole(4, Header::whole, {tcp}),
        whole(4, Header::whole, {udp}),
        whole(4, Header::whole, {sctp}),
        whole(4, Header::whole, {icmp}),
        other(4, icmp),
        fragments(4, Header::whole),
        // Three: how long they can be is not the same.
        whole(4, Header::malformed, {tcp, udp}),
        whole(4, Header::malformed, {sctp}),
        whole(4, Header::malformed, {icmp}),
        whole(6, Header::whole, {tcp}),
        whole(6, Header::whole, {udp}),
        whole(6, Header::whole, {sctp}),
        whole(6, Header::whole, {icmp6}),
        other(6, icmp6),
        fragments(6, Header::whole),
        whole(6, Header::malformed, {tcp, udp, sctp, icmp6}),
        unread(),
        fragments(6, Header::unread),
    };
    return out;
}

} // namespace evnf::efw::analysis
