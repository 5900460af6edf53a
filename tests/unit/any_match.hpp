// SPDX-License-Identifier: GPL-2.0-or-later
// Matches by chance, each in its one normal form.
#pragma once

#include <netinet/in.h>

#include <algorithm>
#include <random>

#include "match/match.hpp"

namespace evnf::match
{

using Random = std::mt19937_64;

inline unsigned below(Random &random, unsigned n)
{
    return static_cast<unsigned>(random() % n);
}

inline bool chance(Random &random, unsigned in)
{
    return below(random, in) == 0;
}

// Not all values: those could not be negated.
template <class Value>
Field<Value> any_field(Random &random, unsigned greatest)
{
    Ranges<Value> ranges;
    for (unsigned n = 1 + below(random, 4); n; --n) {
        const unsigned a = below(random, greatest + 1);
        const unsigned b = chance(random, 2) ? a : std::min(greatest, a + below(random, 300));
        ranges.push_back({static_cast<Value>(a), static_cast<Value>(b)});
    }
    ranges = normalized(std::move(ranges));
    if (ranges[0] == Range<Value>{0, static_cast<Value>(greatest)})
        ranges[0].last = 0;
    return {ranges, chance(random, 3)};
}

// Often one of those next to the IPv4-mapped ones, which are no IPv6 addresses to people.
inline Address any_address(Random &random, int family)
{
    static const std::vector<std::string> corners{"::",
                                                  "::1",
                                                  "::fffe:ffff:ffff",
                                                  "::1:0:0:0",
                                                  "::fff1:0:0",
                                                  "2001:db8::",
                                                  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"};
    for (;;) {
        if (family == 6 && chance(random, 2))
            return *Address::parse(corners[random() % corners.size()]);
        ip_addr raw{};
        for (auto &w : raw.w)
            w = chance(random, 3) ? 0 : static_cast<__be32>(random());
        if (family == 4)
            raw = {{0, 0, htonl(0xffff), raw.w[3]}};
        if (Address(raw).family() == family)
            return Address(raw);
    }
}

inline Range<Address> any_addresses(Random &random, int family)
{
    const Address a = any_address(random, family);
    if (chance(random, 3)) {
        const Address b = any_address(random, family);
        return {std::min(a, b), std::max(a, b)};
    }
    const unsigned bits = family == 4 ? 32 : 128;
    for (;;) {
        // A prefix of that length around the address, unless it is no text.
        const unsigned length = chance(random, 2) ? bits - below(random, 4) : below(random, bits);
        ip_addr end = a.raw();
        auto *bytes = reinterpret_cast<unsigned char *>(&end);
        for (unsigned i = length + (128 - bits); i < 128; ++i)
            bytes[i / 8] = static_cast<unsigned char>(bytes[i / 8] | 0x80U >> i % 8);
        const Prefix p = covering({a, Address(end)});
        if (p.address.family() == family)
            return range_of(p);
    }
}

inline Field<Address> any_prefixes(Random &random, int family)
{
    Ranges<Address> ranges;
    for (unsigned n = 1 + below(random, 3); n; --n)
        ranges.push_back(any_addresses(random, family));
    ranges = normalized(std::move(ranges));
    const Address greatest =
        family == 4 ? *Address::parse("255.255.255.255") : Space<Address>::greatest();
    const bool all = ranges[0].last == greatest &&
                     ranges[0].first == *Address::parse(family == 4 ? "0.0.0.0" : "::");
    return {ranges, !all && chance(random, 3)};
}

// What is asked of the protocol, and the family that this settles.
inline void any_protocol(Random &random, Match &m)
{
    static constexpr std::uint8_t some[]{IPPROTO_TCP,  IPPROTO_UDP,    IPPROTO_SCTP, IPPROTO_TCP,
                                         IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_ESP,  255};
    const auto p = some[below(random, std::size(some))];
    if (chance(random, 6))
        m.protocol = any_field<std::uint8_t>(random, 255);
    else if (chance(random, 4))
        m.protocol = {normalized<std::uint8_t>({{IPPROTO_UDP, IPPROTO_UDP}, {p, p}})};
    else
        m.protocol = {{{p, p}}};
    if (m.protocol == Field<std::uint8_t>{{{IPPROTO_ICMP, IPPROTO_ICMP}}})
        m.family = 4;
    if (m.protocol == Field<std::uint8_t>{{{IPPROTO_ICMPV6, IPPROTO_ICMPV6}}})
        m.family = 6;
}

// What only some protocols have.
inline void any_transport(Random &random, Match &m)
{
    bool has_ports = true, icmp = false, tcp = false;
    for (unsigned p = 0; p < 256; ++p)
        if (m.protocol.allows(static_cast<std::uint8_t>(p)) && p != IPPROTO_TCP &&
            p != IPPROTO_UDP && p != IPPROTO_SCTP)
            has_ports = false;
    if (m.protocol.ranges.size() == 1 && m.protocol.ranges[0].first == m.protocol.ranges[0].last) {
        const auto p = m.protocol.ranges[0].first;
        icmp = !m.protocol.negated && (p == IPPROTO_ICMP || p == IPPROTO_ICMPV6);
        tcp = !m.protocol.negated && p == IPPROTO_TCP;
    }
    if (icmp && chance(random, 2))
        m.icmp = any_field<std::uint16_t>(random, 65535);
    if (has_ports && chance(random, 2))
        m.sport = any_field<std::uint16_t>(random, 65535);
    if (has_ports && chance(random, 2))
        m.dport = any_field<std::uint16_t>(random, 65535);
    if (tcp && chance(random, 3)) {
        const auto mask = static_cast<std::uint8_t>(1 + below(random, 255));
        const auto value = static_cast<std::uint8_t>(mask & random());
        const bool one = (mask & (mask - 1)) == 0;
        m.tcp_flags = {mask, one ? std::uint8_t{0} : value, chance(random, 2)};
    }
    for (unsigned n = has_ports ? below(random, 3) : 0; n; --n)
        m.sets.push_back({static_cast<SetKey>(2 + below(random, 4)), "s" + std::to_string(n),
                          chance(random, 2)});
}

inline Match any_match(Random &random)
{
    static const std::vector<std::string> names{"br-lan", "eth0", "eth1", "veth*", "wan.5"};
    Match m;
    m.family = chance(random, 2) ? 0 : 4 + 2 * static_cast<int>(below(random, 2));
    if (chance(random, 2)) {
        any_protocol(random, m);
        any_transport(random, m);
    }
    if (m.family && chance(random, 2))
        m.src = any_prefixes(random, m.family);
    if (m.family && chance(random, 2))
        m.dst = any_prefixes(random, m.family);
    for (unsigned n = below(random, 3); n; --n)
        m.sets.push_back(
            {static_cast<SetKey>(below(random, 2)), "Bad-" + std::to_string(n), chance(random, 2)});
    std::sort(m.sets.begin(), m.sets.end());
    if (chance(random, 4))
        std::copy_if(names.begin(), names.end(), std::back_inserter(m.in.names),
                     [&](const auto &) { return chance(random, 2); });
    m.in.negated = m.in.asked() && chance(random, 2);
    if (chance(random, 5))
        m.vlan = any_field<std::uint16_t>(random, 4095);
    if (chance(random, 5))
        m.dscp = any_field<std::uint8_t>(random, 63);
    if (chance(random, 5))
        m.length = any_field<std::uint16_t>(random, 65535);
    if (chance(random, 5)) { // never later ones alone: those have no ports
        const auto last = static_cast<std::uint8_t>(below(random, 2));
        m.fragment = {{{0, last}}, last == 0 && !m.protocol.asked() && chance(random, 2)};
    }
    return m;
}

} // namespace evnf::match
