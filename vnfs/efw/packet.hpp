// SPDX-License-Identifier: GPL-2.0-or-later
// A packet as people write it, to ask what becomes of it:
//
//   tcp|udp|sctp|icmp|icmpv6|protocol N  SRC[:PORT] > DST[:PORT]
//     [in INTERFACE] [syn,ack|none] [type T/C] [vlan N] [dscp N] [frag first|later] [malformed]
//     [len N] [saddr|daddr|sport|dport|saddr.sport|daddr.dport [!=] @SET]…
//
// Of a malformed packet the transport header is cut short or contradicts itself. `unread`
// instead of the protocol is an IPv6 packet whose extension headers end before it.
// An IPv6 address with a port stands in brackets. What follows DST may stand in any order.
// Without flags a TCP packet has syn, without a type an ICMP packet is an echo request,
// without a length a packet has no payload. A packet is in no named set that it does not
// name.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "abi/pkt.h"
#include "base/net.hpp"
#include "base/result.hpp"
#include "match/match.hpp"

namespace evnf::efw
{

// What a packet of some protocol has beyond addresses. All fragments of a datagram are to
// meet the same rules, and only the first has a transport header: of none is it looked at.
enum class Transport { tcp, udp, sctp, icmp, other, fragment, malformed, unread };
bool has_ports(Transport transport);
// Whether nobody can say what of ports, flags and ICMP type the packet has.
bool hides_header(Transport transport);
// Whether it is an IPv6 extension header, so never what a packet is of.
bool is_extension_header(std::uint8_t protocol);

// How much of a packet's transport header there is.
enum class Header { whole, malformed, unread };

struct Packet {
    Address src, dst;          // of the same family
    std::uint8_t protocol = 0; // zero if it is unread
    Header header = Header::whole;
    std::uint16_t sport = 0, dport = 0; // zero if it has none, as the next two
    std::uint16_t icmp = 0;             // type * 256 + code
    std::uint8_t tcp_flags = 0;
    std::string in; // empty: an interface that no rule names
    std::optional<std::uint16_t> vlan;
    std::uint8_t dscp = 0;
    pkt_frag fragment = PKT_FRAG_NONE;
    std::uint16_t length = 0;
    std::vector<match::SetUse> sets; // sorted; in which named sets it is, or is not

    [[nodiscard]] int family() const { return src.family(); }
    [[nodiscard]] Transport transport() const;
    friend bool operator==(const Packet &, const Packet &) = default;
};

// The lengths of the shortest and the longest datagram of its kind, in bytes.
std::uint16_t least_length(const Packet &packet);
std::uint16_t greatest_length(const Packet &packet);

// Errors carry offset and length of the word at fault within `text`.
Result<Packet> parse_packet(std::string_view text);

// The one way to write a packet: parse_packet(text_of(p)) is p.
std::string text_of(const Packet &packet);

} // namespace evnf::efw
