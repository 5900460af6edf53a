// SPDX-License-Identifier: GPL-2.0-or-later
// Addresses, prefixes and endpoints: text becomes a type once, here.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "abi/types.h"
#include "base/result.hpp"

namespace evnf
{

// An IPv4 or IPv6 address. IPv4 is held IPv4-mapped, as in the fast path.
class Address
{
public:
    Address() = default;
    explicit Address(const ip_addr &raw) : raw_(raw) {}

    // "192.0.2.1" or "2001:db8::1". An IPv4-mapped IPv6 text is refused.
    static Result<Address> parse(std::string_view text);

    [[nodiscard]] std::string text() const;
    [[nodiscard]] bool is_v4() const;
    [[nodiscard]] int family() const { return is_v4() ? 4 : 6; }
    [[nodiscard]] const ip_addr &raw() const { return raw_; }

    friend bool operator==(const Address &a, const Address &b);
    friend std::strong_ordering operator<=>(const Address &a, const Address &b); // as on the wire

private:
    ip_addr raw_{};
};

// An address and how many of its leading bits count. Bits beyond them are zero.
struct Prefix {
    Address address;
    unsigned length = 0; // of its family: 0 to 32 or 0 to 128

    // "192.0.2.0/24", "2001:db8::/32" or a bare address. Set host bits are refused
    // with the prefix that was probably meant.
    static Result<Prefix> parse(std::string_view text);
    [[nodiscard]] std::string text() const; // a bare address for a whole one
    [[nodiscard]] bool contains(const Address &a) const;
    friend bool operator==(const Prefix &, const Prefix &) = default;
};

// An address and a port: "192.0.2.1:80" or "[2001:db8::1]:80".
struct Endpoint {
    Address address;
    std::uint16_t port = 0; // host order; 0: none, which is never parsed

    static Result<Endpoint> parse(std::string_view text);
    [[nodiscard]] std::string text() const;
    friend bool operator==(const Endpoint &, const Endpoint &) = default;
    friend auto operator<=>(const Endpoint &, const Endpoint &) = default;
};

// A whole decimal number in [low, high]; `name` is for the error.
Result<std::uint64_t> parse_number(std::string_view text, std::uint64_t low, std::uint64_t high,
                                   std::string_view name);

// "tcp", "udp", "sctp", "icmp", "icmpv6", "igmp", "gre", "esp", "ah", "ospf", "vrrp" or a
// number 0 to 255, and back.
Result<std::uint8_t> parse_protocol(std::string_view text);
std::string protocol_text(std::uint8_t protocol);

// All interfaces of this network namespace, and their numbers.
std::vector<std::pair<std::string, unsigned>> interfaces();

} // namespace evnf
