// SPDX-License-Identifier: GPL-2.0-or-later
// What rules are to decide, written as plainly as can be: rule after rule, bit after bit.
// It shares nothing with the compiler and the fast path but the layout of struct pkt.
#pragma once

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "abi/pkt.h"
#include "vnfs/efw/rule.hpp"

namespace evnf::efw::model
{

using Random = std::mt19937_64;

inline unsigned below(Random &random, unsigned n)
{
    return static_cast<unsigned>(random() % n);
}

inline bool bit_of(const ip_addr &a, unsigned i)
{
    const auto *bytes = reinterpret_cast<const unsigned char *>(&a);
    return bytes[i / 8] >> (7 - i % 8) & 1;
}

inline bool in_prefix(const Prefix &p, const ip_addr &a)
{
    const unsigned first = p.address.is_v4() ? 96 : 0;
    for (unsigned i = 0; i < first + p.length; ++i)
        if (bit_of(a, i) != bit_of(p.address.raw(), i))
            return false;
    return true;
}

enum class Seen { no, yes, unseen };

inline Seen look(const match::Match &r, const pkt &p)
{
    if (r.family && r.family != p.flow.family)
        return Seen::no;
    if (r.src && !in_prefix(*r.src, p.flow.saddr))
        return Seen::no;
    if (r.dst && !in_prefix(*r.dst, p.flow.daddr))
        return Seen::no;
    if (r.protocol && p.l4 == PKT_L4_UNREAD)
        return Seen::unseen;
    if (r.protocol && *r.protocol != p.flow.proto)
        return Seen::no;
    if (!r.sport && !r.dport)
        return Seen::yes;
    if (p.frag != PKT_FRAG_NONE || p.l4 == PKT_L4_BAD)
        return Seen::unseen;
    auto in = [](const std::optional<match::PortRange> &range, __be16 port) {
        return !range || (range->low <= ntohs(port) && ntohs(port) <= range->high);
    };
    return in(r.sport, p.flow.sport) && in(r.dport, p.flow.dport) ? Seen::yes : Seen::no;
}

constexpr int by_default = -1; // no rule matched
constexpr int cannot_tell = -2;

// The index of the rule that decides.
inline int decide(const std::vector<Rule> &rules, const pkt &p)
{
    std::vector<std::size_t> order(rules.size());
    for (std::size_t i = 0; i < order.size(); ++i)
        order[i] = i;
    std::stable_sort(order.begin(), order.end(),
                     [&](auto a, auto b) { return rules[a].priority < rules[b].priority; });
    for (const auto i : order) {
        const Seen m = look(rules[i].match, p);
        if (m == Seen::unseen)
            return cannot_tell;
        if (m == Seen::yes)
            return static_cast<int>(i);
    }
    return by_default;
}

// Few different addresses, so that rules and packets meet, and some at the edges of
// everything.
inline Address any_address(Random &random, int family)
{
    ip_addr a{};
    auto *bytes = reinterpret_cast<unsigned char *>(&a);
    const unsigned first = family == 4 ? 12 : 0;
    const unsigned kind = below(random, 8);
    for (unsigned i = first; i < 16; ++i)
        bytes[i] = kind == 0       ? 0
                   : kind == 1     ? 0xff
                   : i < first + 3 ? static_cast<unsigned char>(i == first ? 0x20 : 0)
                                   : static_cast<unsigned char>(below(random, 4) * 0x55 & 0xc3);
    if (family == 4)
        bytes[10] = bytes[11] = 0xff;
    return Address(a);
}

inline Prefix any_prefix(Random &random, int family)
{
    static constexpr unsigned edges[] = {0, 1, 31, 32, 33, 95, 96, 97, 127, 128};
    const unsigned bits = family == 4 ? 32 : 128;
    unsigned length = below(random, 2) ? below(random, bits + 1) : edges[below(random, 10)];
    length = std::min(length, bits);
    ip_addr a = any_address(random, family).raw();
    auto *bytes = reinterpret_cast<unsigned char *>(&a);
    for (unsigned i = (family == 4 ? 96 : 0) + length; i < 128; ++i)
        bytes[i / 8] = static_cast<unsigned char>(bytes[i / 8] & ~(0x80U >> i % 8));
    const Prefix p{Address(a), length};
    return p.address.family() == family ? p : Prefix{any_address(random, 4), 32};
}

inline std::uint16_t any_port(Random &random)
{
    static constexpr std::uint16_t some[] = {0, 1, 79, 80, 81, 443, 1023, 1024, 65534, 65535};
    return below(random, 8) ? some[below(random, 10)] : static_cast<std::uint16_t>(random());
}

inline std::optional<match::PortRange> any_range(Random &random)
{
    if (below(random, 2))
        return std::nullopt;
    const std::uint16_t a = any_port(random);
    const std::uint16_t b = below(random, 2) ? a : any_port(random);
    return match::PortRange{std::min(a, b), std::max(a, b)};
}

inline match::Match any_match(Random &random)
{
    static constexpr std::uint8_t protocols[] = {6, 6, 6, 17, 17, 132, 47, 0, 255, 50};
    match::Match m;
    const int family = below(random, 3) ? 4 : 6;
    if (below(random, 2))
        m.src = any_prefix(random, family);
    if (below(random, 2))
        m.dst = any_prefix(random, m.src ? m.src->address.family() : family);
    if (m.src || m.dst)
        m.family = (m.src ? m.src : m.dst)->address.family();
    else if (below(random, 4) == 0)
        m.family = family;
    if (below(random, 4))
        m.protocol = protocols[below(random, 10)];
    else if (m.family && below(random, 2))
        m.protocol = static_cast<std::uint8_t>(m.family == 4 ? 1 : 58); // ICMP, ICMPv6
    if (m.protocol == 6 || m.protocol == 17 || m.protocol == 132) {
        m.sport = any_range(random);
        m.dport = any_range(random);
    }
    return m;
}

inline Rule any_rule(Random &random)
{
    static constexpr efw_action actions[] = {EFW_ACCEPT, EFW_DROP, EFW_SLOW};
    Rule r;
    if (below(random, 3) == 0)
        r.priority = below(random, 5) * 50;
    r.match = any_match(random);
    r.action = actions[below(random, 3)];
    if (below(random, 5) == 0)
        r.comment = "réponse " + std::to_string(below(random, 100));
    return r;
}

// No two with the same text: efw refuses those.
inline std::vector<Rule> any_rules(Random &random, std::size_t most)
{
    std::vector<Rule> out;
    std::set<std::string> seen;
    const std::size_t n = random() % (most + 1);
    while (out.size() < n) {
        Rule r = any_rule(random);
        if (seen.insert(text_of(r)).second)
            out.push_back(std::move(r));
    }
    return out;
}

// The edge of one of the rules' prefixes, or one address beside it.
inline ip_addr edge_address(Random &random, const std::vector<Rule> &rules, int family)
{
    const Rule *r = rules.empty() ? nullptr : &rules[random() % rules.size()];
    const auto &prefix = !r                 ? std::optional<Prefix>()
                         : below(random, 2) ? r->match.src
                                            : r->match.dst;
    if (!prefix || prefix->address.family() != family)
        return any_address(random, family).raw();
    ip_addr a = prefix->address.raw();
    auto *bytes = reinterpret_cast<unsigned char *>(&a);
    const unsigned fixed = (family == 4 ? 96 : 0) + prefix->length;
    if (below(random, 2)) // the last of it
        for (unsigned i = fixed; i < 128; ++i)
            bytes[i / 8] = static_cast<unsigned char>(bytes[i / 8] | 0x80U >> i % 8);
    const int step = static_cast<int>(below(random, 3)) - 1;
    for (int i = 15, carry = step; i >= (family == 4 ? 12 : 0) && carry; --i) {
        const int sum = bytes[i] + carry;
        bytes[i] = static_cast<unsigned char>(sum);
        carry = sum < 0 ? -1 : sum > 255 ? 1 : 0;
    }
    return a;
}

// What a root may say of a packet, consistent in itself.
inline pkt any_packet(Random &random, const std::vector<Rule> &rules)
{
    static constexpr std::uint8_t protocols[] = {6, 6, 6, 17, 17, 132, 47, 1, 58, 0, 255, 50};
    pkt p{};
    p.len = 60 + below(random, 1000);
    p.flow.family = below(random, 3) ? 4 : 6;
    p.flow.saddr = edge_address(random, rules, p.flow.family);
    p.flow.daddr = edge_address(random, rules, p.flow.family);
    if (p.flow.family == 6 && below(random, 8) == 0) // IPv4-mapped, on an IPv6 wire
        p.flow.saddr = edge_address(random, rules, 4);
    p.flow.proto = protocols[below(random, 12)];
    const bool ports = p.flow.proto == 6 || p.flow.proto == 17 || p.flow.proto == 132;
    p.l4 = ports ? PKT_L4_PORTS : PKT_L4_OTHER;
    switch (below(random, 10)) {
    case 0:
        p.frag = PKT_FRAG_LATER;
        p.l4 = below(random, 8) ? PKT_L4_FRAGMENT : PKT_L4_UNREAD;
        break;
    case 1:
        p.frag = PKT_FRAG_FIRST;
        break;
    case 2:
        p.l4 = PKT_L4_BAD;
        break;
    case 3:
        p.l4 = PKT_L4_UNREAD;
        break;
    }
    if (p.l4 == PKT_L4_PORTS) {
        p.flow.sport = htons(any_port(random));
        p.flow.dport = htons(any_port(random));
    }
    return p;
}

} // namespace evnf::efw::model
