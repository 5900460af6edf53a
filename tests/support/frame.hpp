// SPDX-License-Identifier: GPL-2.0-or-later
// A packet builder: name what the test is about, the rest is valid and of the
// documentation ranges. Checksums are right unless asked otherwise.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace evnf::test
{

using Bytes = std::vector<std::uint8_t>;

enum class Csum {
    right,
    partial, // only the pseudo-header's sum, as CHECKSUM_PARTIAL leaves it
    zero,    // UDP: none
};

struct ExtHeader {
    std::uint8_t number;    // IPPROTO_HOPOPTS, …
    std::size_t size = 8;   // of the whole header; a multiple of 8 (AH: of 4)
    std::uint16_t frag = 0; // fragment header: offset << 3 | M
};

struct Frame {
    std::array<std::uint8_t, 6> dmac{0x02, 0, 0, 0, 0, 0x01};
    std::array<std::uint8_t, 6> smac{0x02, 0, 0, 0, 0, 0x02};
    std::vector<std::uint16_t> vlans{}; // TCIs, outermost first; 88a8 around 8100
    std::uint16_t ethertype = 0;        // 0: by the addresses' family
    std::string src = "192.0.2.1";
    std::string dst = "198.51.100.1";
    std::uint8_t ttl = 64;
    std::uint8_t tos = 0;         // or the traffic class
    std::size_t ip_options = 0;   // bytes of IPv4 options, a multiple of 4
    std::uint16_t frag = 0;       // IPv4: the flags and offset word
    std::vector<ExtHeader> ext{}; // IPv6
    std::uint8_t proto = 6;       // IPPROTO_TCP
    std::uint16_t sport = 1024;
    std::uint16_t dport = 80;
    std::uint8_t tcp_flags = 0x10; // ACK
    std::size_t tcp_options = 0;   // bytes, a multiple of 4
    std::uint32_t tcp_seq = 1, tcp_ack = 1;
    std::uint8_t icmp_type = 8, icmp_code = 0;
    Csum csum = Csum::right;
    Bytes payload = Bytes(8, 0x5a); // for an ICMP error: the quoted packet
    std::size_t padding = 0;        // bytes of the frame after the datagram
};

Bytes build(const Frame &f);

// Where the layers of a frame made by build() begin.
struct Layout {
    std::size_t l3, l4, end; // end of the datagram
};
Layout layout(const Frame &f);

// The 16-bit one's complement sum of some bytes, in network order (RFC 1071), by the
// plainest means.
std::uint32_t plain_sum(const std::uint8_t *bytes, std::size_t size, std::uint32_t start = 0);
std::uint16_t plain_checksum(std::uint32_t sum);

// The sum over the pseudo-header and the segment of a whole TCP or UDP packet: 0xffff
// for one whose checksum is right.
std::uint16_t segment_sum(const Bytes &frame, std::size_t l3, std::size_t l4, std::size_t end,
                          std::uint8_t proto);
// Of the IPv4 header at l3: 0xffff if it is right.
std::uint16_t header_sum(const Bytes &frame, std::size_t l3);
// The pseudo-header's sum alone, folded: what a partial checksum holds.
std::uint16_t pseudo_sum(const Bytes &frame, std::size_t l3, std::size_t length,
                         std::uint8_t proto);

std::string hex(const Bytes &frame);

using Random = std::mt19937;
inline unsigned roll(Random &r, unsigned n)
{
    return static_cast<unsigned>(r() % n);
}
// A valid frame of any kind.
Frame random_frame(Random &random);
// The frame with some bytes changed, cut short, or with lying lengths.
Bytes mutate(Bytes frame, Random &random);

} // namespace evnf::test
