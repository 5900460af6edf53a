// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/net.hpp"

#include <arpa/inet.h>
#include <net/if.h>

#include <array>
#include <charconv>
#include <cstring>

#include "base/text.hpp"

namespace evnf
{

namespace
{

struct ProtocolName {
    std::string_view name;
    std::uint8_t number;
};
constexpr std::array protocols{
    ProtocolName{"tcp", IPPROTO_TCP},
    ProtocolName{"udp", IPPROTO_UDP},
    ProtocolName{"sctp", IPPROTO_SCTP},
    ProtocolName{"icmp", IPPROTO_ICMP},
    ProtocolName{"icmpv6", IPPROTO_ICMPV6},
    ProtocolName{"igmp", IPPROTO_IGMP},
    ProtocolName{"gre", IPPROTO_GRE},
    ProtocolName{"esp", IPPROTO_ESP},
    ProtocolName{"ah", IPPROTO_AH},
    ProtocolName{"ospf", 89},
    ProtocolName{"vrrp", 112},
};

// Zeroes all bits of `a` after the first `length` of the 128.
ip_addr masked(ip_addr a, unsigned length)
{
    auto *bytes = reinterpret_cast<unsigned char *>(&a);
    for (unsigned i = 0; i < sizeof a; ++i) {
        unsigned keep = length > i * 8 ? std::min(length - i * 8, 8U) : 0;
        bytes[i] = static_cast<unsigned char>(bytes[i] & (0xff00U >> keep));
    }
    return a;
}

unsigned mapped_length(const Prefix &p)
{
    return p.address.is_v4() ? p.length + 96 : p.length;
}

} // namespace

Result<Address> Address::parse(std::string_view text)
{
    const std::string s(text);
    Address a;
    in_addr v4{};
    if (inet_pton(AF_INET, s.c_str(), &v4) == 1) {
        a.raw_.w[2] = htonl(0xffff);
        a.raw_.w[3] = v4.s_addr;
        return a;
    }
    in6_addr v6{};
    if (inet_pton(AF_INET6, s.c_str(), &v6) != 1)
        return bad_input(in_quotes(text) + " is not an IPv4 or IPv6 address");
    std::memcpy(&a.raw_, &v6, sizeof a.raw_);
    if (a.is_v4())
        return bad_input(in_quotes(text) + " is an IPv4-mapped address: write " + a.text());
    return a;
}

std::string Address::text() const
{
    std::array<char, INET6_ADDRSTRLEN> out{};
    if (is_v4())
        inet_ntop(AF_INET, &raw_.w[3], out.data(), out.size());
    else
        inet_ntop(AF_INET6, &raw_, out.data(), out.size());
    return out.data();
}

bool Address::is_v4() const
{
    return raw_.w[0] == 0 && raw_.w[1] == 0 && raw_.w[2] == htonl(0xffff);
}

bool operator==(const Address &a, const Address &b)
{
    return std::memcmp(&a.raw_, &b.raw_, sizeof a.raw_) == 0;
}

std::strong_ordering operator<=>(const Address &a, const Address &b)
{
    return std::memcmp(&a.raw_, &b.raw_, sizeof a.raw_) <=> 0;
}

Result<Prefix> Prefix::parse(std::string_view text)
{
    const auto slash = text.find('/');
    auto address = Address::parse(text.substr(0, slash));
    if (!address)
        return bad_input(in_quotes(text) + " is not an address or prefix such as 192.0.2.0/24");
    const unsigned bits = address->is_v4() ? 32 : 128;
    Prefix p{*address, bits};
    if (slash == text.npos)
        return p;
    auto length = parse_number(text.substr(slash + 1), 0, bits, "prefix length");
    if (!length)
        return bad_input(length.error().what + " in " + in_quotes(text));
    p.length = static_cast<unsigned>(*length);
    p.address = Address(masked(address->raw(), mapped_length(p)));
    if (!(p.address == *address))
        return bad_input(in_quotes(text) + " has bits set after its prefix length: did you mean " +
                         p.text() + "?");
    return p;
}

std::string Prefix::text() const
{
    const bool whole = length == (address.is_v4() ? 32U : 128U);
    return whole ? address.text() : address.text() + "/" + std::to_string(length);
}

bool Prefix::contains(const Address &a) const
{
    return a.is_v4() == address.is_v4() &&
           Address(masked(a.raw(), mapped_length(*this))) == address;
}

Result<Endpoint> Endpoint::parse(std::string_view text)
{
    const auto colon = text.rfind(':');
    std::string_view host = text.substr(0, colon);
    const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
    if (colon == text.npos || (!bracketed && host.find(':') != host.npos))
        return bad_input(in_quotes(text) +
                         " is not an address and port such as 192.0.2.1:80 or [2001:db8::1]:80");
    if (bracketed)
        host = host.substr(1, host.size() - 2);
    auto address = Address::parse(host);
    if (!address)
        return address.error();
    if (bracketed == address->is_v4())
        return bad_input(in_quotes(text) + ": brackets are for IPv6 addresses");
    auto port = parse_number(text.substr(colon + 1), 1, 65535, "port");
    if (!port)
        return port.error();
    return Endpoint{*address, static_cast<std::uint16_t>(*port)};
}

std::string Endpoint::text() const
{
    const std::string host = address.is_v4() ? address.text() : "[" + address.text() + "]";
    return port ? host + ":" + std::to_string(port) : address.text();
}

Result<std::uint64_t> parse_number(std::string_view text, std::uint64_t low, std::uint64_t high,
                                   std::string_view name)
{
    std::uint64_t n = 0;
    auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), n);
    if (ec != std::errc{} || end != text.data() + text.size() || n < low || n > high)
        return bad_input(in_quotes(text) + " is not a " + std::string(name) + " from " +
                         std::to_string(low) + " to " + std::to_string(high));
    return n;
}

Result<std::uint8_t> parse_protocol(std::string_view text)
{
    for (const auto &p : protocols)
        if (p.name == text)
            return p.number;
    auto n = parse_number(text, 0, 255, "protocol");
    if (!n)
        return bad_input(in_quotes(text) +
                         " is not a protocol: tcp, udp, sctp, icmp, icmpv6, igmp, gre, esp, ah, "
                         "ospf, vrrp or a number to 255");
    return static_cast<std::uint8_t>(*n);
}

std::string protocol_text(std::uint8_t protocol)
{
    for (const auto &p : protocols)
        if (p.number == protocol)
            return std::string(p.name);
    return std::to_string(protocol);
}

std::vector<std::pair<std::string, unsigned>> interfaces()
{
    std::vector<std::pair<std::string, unsigned>> out;
    struct if_nameindex *list = ::if_nameindex();
    for (struct if_nameindex *i = list; i && i->if_index; ++i)
        out.emplace_back(i->if_name, i->if_index);
    ::if_freenameindex(list);
    return out;
}

} // namespace evnf
