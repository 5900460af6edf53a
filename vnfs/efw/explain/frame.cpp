// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/explain/frame.hpp"

#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace evnf::efw
{

namespace
{

constexpr std::size_t ipv4_header = 20, longest_ipv4_header = 60, ipv6_header = 40;
constexpr std::size_t sctp_header = 12, icmp_header = 8;
constexpr std::size_t option_unit = 8, longest_extension = 256 * option_unit;
constexpr std::uint8_t ttl = 64;

void put16(Bytes &to, std::size_t at, unsigned value)
{
    to[at] = static_cast<std::uint8_t>(value >> 8);
    to[at + 1] = static_cast<std::uint8_t>(value);
}

void add16(Bytes &to, unsigned value)
{
    to.resize(to.size() + 2);
    put16(to, to.size() - 2, value);
}

// RFC 1071.
unsigned checksum(const Bytes &bytes)
{
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i)
        sum += i % 2 ? bytes[i] : unsigned{bytes[i]} << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<unsigned>(~sum & 0xffff);
}

// Of SCTP: RFC 9260 appendix A.
std::uint32_t crc32c(const Bytes &bytes)
{
    std::uint32_t crc = ~0U;
    for (const auto byte : bytes) {
        crc ^= byte;
        for (int bit = 0; bit < 8; ++bit)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
    }
    return ~crc;
}

Bytes address_bytes(const Address &a)
{
    std::array<std::uint8_t, sizeof(ip_addr)> raw{};
    std::memcpy(raw.data(), &a.raw(), raw.size());
    return {raw.begin() + (a.is_v4() ? 12 : 0), raw.end()};
}

void append(Bytes &to, const Bytes &bytes)
{
    to.insert(to.end(), bytes.begin(), bytes.end());
}

// Over the pseudo-header and the segment.
unsigned segment_checksum(const Packet &p, const Bytes &segment)
{
    Bytes all = address_bytes(p.src);
    append(all, address_bytes(p.dst));
    all.insert(all.end(), {0, p.protocol, 0, 0});
    put16(all, all.size() - 2, static_cast<unsigned>(segment.size()));
    append(all, segment);
    return checksum(all);
}

void put_ports(const Packet &p, Bytes &segment)
{
    put16(segment, 0, p.sport);
    put16(segment, 2, p.dport);
}

// The transport header in a segment of zeroes.
void put_header(const Packet &p, Bytes &segment)
{
    switch (p.transport()) {
    case Transport::tcp:
        put_ports(p, segment);
        segment[12] = 5 << 4;
        segment[13] = p.tcp_flags;
        put16(segment, 16, segment_checksum(p, segment));
        break;
    case Transport::udp: {
        put_ports(p, segment);
        put16(segment, 4, static_cast<unsigned>(segment.size()));
        const unsigned sum = segment_checksum(p, segment);
        put16(segment, 6, sum ? sum : 0xffff); // zero would mean none
        break;
    }
    case Transport::sctp: {
        put_ports(p, segment);
        const std::uint32_t crc = crc32c(segment);
        std::memcpy(&segment[8], &crc, sizeof crc); // the least significant byte first
        break;
    }
    case Transport::icmp:
        put16(segment, 0, p.icmp);
        put16(segment, 2, p.family() == 4 ? checksum(segment) : segment_checksum(p, segment));
        break;
    case Transport::other:
    case Transport::fragment:
    case Transport::malformed: // of zeroes: TCP's and UDP's lengths cannot be
    case Transport::unread:
        break;
    }
}

// How much there must be of a header that can only be malformed by being cut short.
std::size_t cut_below(const Packet &p)
{
    if (p.transport() != Transport::malformed)
        return 0;
    return p.protocol == IPPROTO_SCTP                                   ? sctp_header
           : p.protocol == IPPROTO_ICMP || p.protocol == IPPROTO_ICMPV6 ? icmp_header
                                                                        : 0;
}

Bytes ipv4(const Packet &p)
{
    std::size_t header = ipv4_header;
    if (const auto cut = cut_below(p); cut && p.length >= header + cut)
        header = std::min<std::size_t>(longest_ipv4_header, p.length / 4 * 4);
    Bytes out(header);
    out[0] = static_cast<std::uint8_t>(4 << 4 | header / 4);
    out[1] = static_cast<std::uint8_t>(p.dscp << 2);
    put16(out, 2, p.length);
    put16(out, 6, p.fragment == PKT_FRAG_FIRST ? 0x2000 : p.fragment == PKT_FRAG_LATER ? 1 : 0);
    out[8] = ttl;
    out[9] = p.protocol;
    const auto src = address_bytes(p.src), dst = address_bytes(p.dst);
    std::copy(src.begin(), src.end(), out.begin() + 12);
    std::copy(dst.begin(), dst.end(), out.begin() + 16);
    std::fill(out.begin() + ipv4_header, out.end(), std::uint8_t{1}); // no operation
    put16(out, 10, checksum(out));
    return out;
}

// Destination options, of Pad1 alone.
Bytes destination_options(std::uint8_t next, std::size_t size)
{
    Bytes out(size);
    out[0] = next;
    out[1] = static_cast<std::uint8_t>(size / option_unit - 1);
    return out;
}

Bytes fragment_header(const Packet &p, std::uint8_t next)
{
    return {next, 0, 0, static_cast<std::uint8_t>(p.fragment == PKT_FRAG_FIRST ? 1 : 8),
            0,    0, 0, 1};
}

// What comes between the IPv6 header and the transport header; `first` becomes its number.
Bytes extensions(const Packet &p, std::uint8_t &first)
{
    const std::size_t room = p.length - ipv6_header;
    const bool unread = p.header == Header::unread;
    first = unread ? std::uint8_t{IPPROTO_DSTOPTS} : p.protocol;
    if (p.fragment != PKT_FRAG_NONE) {
        const auto next = first; // of unread ones again an extension header
        first = IPPROTO_FRAGMENT;
        return fragment_header(p, next);
    }
    if (unread) {
        Bytes out(room);
        for (std::size_t at = 0; at + option_unit <= room; at += option_unit) {
            out[at] = IPPROTO_DSTOPTS;
            if (room < longest_extension)
                out[at + 1] = 0xff; // ends behind the datagram
        }
        return out;
    }
    if (const auto cut = cut_below(p); cut && room >= cut) {
        first = IPPROTO_DSTOPTS;
        const auto size = std::min(room / option_unit * option_unit, longest_extension);
        return destination_options(p.protocol, size);
    }
    return {};
}

Bytes ipv6(const Packet &p)
{
    Bytes out(ipv6_header);
    std::uint8_t first = 0;
    const Bytes more = extensions(p, first);
    out[0] = static_cast<std::uint8_t>(6 << 4 | p.dscp >> 2);
    out[1] = static_cast<std::uint8_t>(p.dscp << 6);
    put16(out, 4, p.length - static_cast<unsigned>(ipv6_header));
    out[6] = first;
    out[7] = ttl;
    const auto src = address_bytes(p.src), dst = address_bytes(p.dst);
    std::copy(src.begin(), src.end(), out.begin() + 8);
    std::copy(dst.begin(), dst.end(), out.begin() + 24);
    append(out, more);
    return out;
}

} // namespace

Result<Bytes> frame_of(const Packet &p)
{
    Bytes out{0x02, 0, 0, 0, 0, 0x01, 0x02, 0, 0, 0, 0, 0x02}; // locally administered
    if (p.vlan) {
        add16(out, 0x8100);
        add16(out, *p.vlan);
    }
    add16(out, p.family() == 4 ? 0x0800 : 0x86dd);
    const Bytes network = p.family() == 4 ? ipv4(p) : ipv6(p);
    if (out.size() + p.length > max_frame)
        return bad_input("the fast path takes no frames of more than " + std::to_string(max_frame) +
                         " bytes");
    append(out, network);
    Bytes segment(p.length - std::min<std::size_t>(p.length, network.size()));
    put_header(p, segment);
    append(out, segment);
    return out;
}

} // namespace evnf::efw
