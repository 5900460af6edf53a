// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/answer.hpp"

#include <arpa/inet.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <cstring>

namespace evnf::efw
{

namespace
{

using Bytes = std::vector<std::uint8_t>;
using View = std::span<const std::uint8_t>;

constexpr std::uint8_t hops = 64;
constexpr std::size_t icmp4_most = 576, icmp6_most = 1280; // bytes of the answer
constexpr std::uint8_t internet_control = 0xc0;            // precedence of ICMP errors

template <class Header>
void put(Bytes &out, std::size_t at, const Header &header)
{
    std::memcpy(out.data() + at, &header, sizeof header);
}

std::uint32_t sum(View bytes, std::uint32_t start = 0)
{
    for (std::size_t i = 0; i < bytes.size(); ++i)
        start += static_cast<std::uint32_t>(bytes[i]) << (i % 2 ? 0 : 8);
    return start;
}

// RFC 1071, as it stands in a header.
std::uint16_t checksum(std::uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return htons(static_cast<std::uint16_t>(~sum));
}

View bytes_of(const ip_addr &a)
{
    return {reinterpret_cast<const std::uint8_t *>(a.w), sizeof a.w};
}

// An address that one host can have. Of IPv4 also none of the blocks in which no host is.
bool is_one_host(const ip_addr &a, int family)
{
    if (family == 4) {
        const std::uint32_t v4 = ntohl(a.w[3]);
        const std::uint32_t block = v4 >> 24;
        return block != 0 && block != 127 && block < 224;
    }
    const auto *v6 = reinterpret_cast<const in6_addr *>(a.w);
    return !IN6_IS_ADDR_UNSPECIFIED(v6) && !IN6_IS_ADDR_LOOPBACK(v6) &&
           !IN6_IS_ADDR_MULTICAST(v6) && !IN6_IS_ADDR_V4MAPPED(v6);
}

bool is_icmp_error(const pkt &p)
{
    if (p.flow.proto == IPPROTO_ICMPV6)
        return p.icmp_type < 128 || p.icmp_type == ND_REDIRECT;
    switch (p.icmp_type) {
    case ICMP_DEST_UNREACH:
    case ICMP_SOURCE_QUENCH:
    case ICMP_REDIRECT:
    case ICMP_TIME_EXCEEDED:
    case ICMP_PARAMETERPROB:
        return true;
    default:
        return p.icmp_type > NR_ICMP_TYPES; // nobody knows what it is
    }
}

bool may_be_answered(View frame, const pkt &p)
{
    const flow_key &f = p.flow;
    if (frame.empty() || (frame[0] & 1) || (f.family != 4 && f.family != 6))
        return false;
    if (!is_one_host(f.saddr, f.family) || !is_one_host(f.daddr, f.family) ||
        std::ranges::equal(bytes_of(f.saddr), bytes_of(f.daddr)))
        return false;
    switch (p.l4) {
    case PKT_L4_PORTS:
    case PKT_L4_OTHER:
        return f.proto != IPPROTO_ICMP && f.proto != IPPROTO_ICMPV6;
    case PKT_L4_ICMP:
        return !is_icmp_error(p);
    default:
        return false;
    }
}

std::size_t header_size(const pkt &p)
{
    return p.flow.family == 4 ? sizeof(iphdr) : sizeof(ip6_hdr);
}

// The IP header of the answer, which is `out` from its first byte on.
void put_ip_header(Bytes &out, const pkt &p, std::uint8_t protocol, std::uint8_t tos)
{
    if (p.flow.family == 4) {
        iphdr h{};
        h.version = 4;
        h.ihl = sizeof h / 4;
        h.tos = tos;
        h.tot_len = htons(static_cast<std::uint16_t>(out.size()));
        h.frag_off = protocol == IPPROTO_TCP ? htons(IP_DF) : 0;
        h.ttl = hops;
        h.protocol = protocol;
        h.saddr = p.flow.daddr.w[3];
        h.daddr = p.flow.saddr.w[3];
        put(out, 0, h);
        h.check = checksum(sum(View(out).first(sizeof h)));
        put(out, 0, h);
        return;
    }
    ip6_hdr h{};
    h.ip6_flow = htonl(6U << 28 | static_cast<std::uint32_t>(tos) << 20);
    h.ip6_plen = htons(static_cast<std::uint16_t>(out.size() - sizeof h));
    h.ip6_nxt = protocol;
    h.ip6_hlim = hops;
    std::memcpy(&h.ip6_src, p.flow.daddr.w, sizeof h.ip6_src);
    std::memcpy(&h.ip6_dst, p.flow.saddr.w, sizeof h.ip6_dst);
    put(out, 0, h);
}

// The sum of the pseudo-header of what follows the answer's IP header. An IPv4 address counts
// as it does alone: its mapped prefix, 0xffff, adds nothing in one's complement.
std::uint32_t pseudo_sum(const Bytes &out, const pkt &p, std::uint8_t protocol)
{
    const auto length = static_cast<std::uint32_t>(out.size() - header_size(p));
    return sum(bytes_of(p.flow.saddr), sum(bytes_of(p.flow.daddr), length + protocol));
}

std::optional<Bytes> reset(View frame, const pkt &p)
{
    if (frame.size() < p.l4_off + sizeof(tcphdr))
        return std::nullopt;
    tcphdr theirs;
    std::memcpy(&theirs, frame.data() + p.l4_off, sizeof theirs);
    const std::uint32_t header = theirs.doff * 4U;
    if (theirs.rst || header < sizeof theirs || p.l4_off + header > p.l3_end)
        return std::nullopt;
    tcphdr ours{};
    ours.source = theirs.dest;
    ours.dest = theirs.source;
    ours.doff = sizeof ours / 4;
    ours.rst = 1;
    if (theirs.ack) {
        ours.seq = theirs.ack_seq;
    } else {
        const std::uint32_t length = p.l3_end - p.l4_off - header + theirs.syn + theirs.fin;
        ours.ack_seq = htonl(ntohl(theirs.seq) + length);
        ours.ack = 1;
    }
    const std::size_t at = header_size(p);
    Bytes out(at + sizeof ours);
    put_ip_header(out, p, IPPROTO_TCP, 0);
    put(out, at, ours);
    ours.check = checksum(sum(View(out).subspan(at), pseudo_sum(out, p, IPPROTO_TCP)));
    put(out, at, ours);
    return out;
}

std::optional<Bytes> unreachable(View frame, const pkt &p)
{
    const bool v4 = p.flow.family == 4;
    const std::size_t at = header_size(p), quote_at = at + sizeof(icmphdr);
    static_assert(sizeof(icmphdr) == sizeof(icmp6_hdr));
    const std::size_t end = std::min<std::size_t>(frame.size(), p.l3_end);
    if (p.l3_off + at > end)
        return std::nullopt;
    const std::size_t most = (v4 ? icmp4_most : icmp6_most) - quote_at;
    const View quote = frame.subspan(p.l3_off, std::min<std::size_t>(end - p.l3_off, most));
    Bytes out(quote_at + quote.size());
    std::copy(quote.begin(), quote.end(), out.begin() + static_cast<std::ptrdiff_t>(quote_at));
    if (v4) {
        put_ip_header(out, p, IPPROTO_ICMP, (p.tos & IPTOS_TOS_MASK) | internet_control);
        icmphdr h{};
        h.type = ICMP_DEST_UNREACH;
        h.code = ICMP_PKT_FILTERED;
        put(out, at, h);
        h.checksum = checksum(sum(View(out).subspan(at)));
        put(out, at, h);
        return out;
    }
    put_ip_header(out, p, IPPROTO_ICMPV6, 0);
    icmp6_hdr h{};
    h.icmp6_type = ICMP6_DST_UNREACH;
    h.icmp6_code = ICMP6_DST_UNREACH_ADMIN;
    put(out, at, h);
    h.icmp6_cksum = checksum(sum(View(out).subspan(at), pseudo_sum(out, p, IPPROTO_ICMPV6)));
    put(out, at, h);
    return out;
}

} // namespace

std::optional<std::vector<std::uint8_t>> answer_to(View frame, const pkt &p)
{
    if (!may_be_answered(frame, p))
        return std::nullopt;
    return p.flow.proto == IPPROTO_TCP ? reset(frame, p) : unreachable(frame, p);
}

} // namespace evnf::efw
