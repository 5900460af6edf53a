// SPDX-License-Identifier: GPL-2.0-or-later
#include <netinet/in.h>

#include <set>

#include "support/rulesets.hpp"

namespace evnf::efw::model
{

namespace
{

using match::Range;

// How often, of 100 rules, a field is of a kind.
struct Addresses {
    unsigned any, host; // the rest: networks
    unsigned shortest, longest;
};
struct Ports {
    unsigned any, high, low, range; // the rest: one port
};
struct Weights {
    Addresses src, dst;
    Ports sport, dport;
    unsigned tcp, udp, icmp; // the rest: any protocol
};

constexpr Weights weights_of(Shape shape)
{
    switch (shape) {
    case Shape::acl: // who may reach which service of ours
        return {{15, 15, 8, 27}, {2, 35, 16, 30}, {97, 2, 0, 1}, {20, 5, 1, 12}, 72, 14, 4};
    case Shape::fw: // wildcards in any field
        return {{45, 20, 4, 24}, {30, 30, 8, 24}, {65, 20, 3, 4}, {35, 12, 4, 9}, 55, 27, 6};
    case Shape::ipc: // addresses of both sides as specific as can be
        return {{8, 45, 12, 30}, {8, 45, 12, 30}, {60, 12, 2, 6}, {45, 8, 2, 10}, 45, 20, 8};
    }
    return {};
}

unsigned percent(Random &random)
{
    return below(random, 100);
}

// Networks that lie in each other, as address plans do.
class Plan
{
public:
    Plan(Random &random, int family, const Addresses &weights, std::size_t rules)
        : bits_(family == 4 ? 32 : 128),
          // IPv6 networks are given out from /32 to /64, where IPv4's go from /8 to /32.
          scale_(family == 4 ? 1 : 2)
    {
        const std::size_t networks = 4 + rules / 6;
        while (prefixes_.size() < networks) {
            const unsigned length =
                weights.shortest + below(random, weights.longest - weights.shortest + 1);
            const Prefix *parent =
                prefixes_.empty() || percent(random) < 10 ? nullptr : &one_of(random, prefixes_);
            prefixes_.push_back(inside(random, family, parent, length * scale_));
        }
    }

    [[nodiscard]] std::optional<Prefix> pick(Random &random, const Addresses &weights) const
    {
        const unsigned kind = percent(random);
        if (kind < weights.any)
            return std::nullopt;
        const Prefix &network = one_of(random, prefixes_);
        if (kind >= weights.any + weights.host)
            return network;
        return inside(random, network.address.family(), &network, bits_);
    }

private:
    // A prefix of random bits below those of the parent, which if it is longer is taken.
    static Prefix inside(Random &random, int family, const Prefix *parent, unsigned length)
    {
        if (parent && parent->length >= length)
            return *parent;
        const unsigned offset = family == 4 ? 96 : 0;
        ip_addr a = parent ? parent->address.raw() : ip_addr{};
        auto *bytes = reinterpret_cast<unsigned char *>(&a);
        if (family == 4)
            bytes[10] = bytes[11] = 0xff;
        for (unsigned i = offset + (parent ? parent->length : 0); i < offset + length; ++i)
            if (below(random, 2))
                bytes[i / 8] = static_cast<unsigned char>(bytes[i / 8] | 0x80U >> i % 8);
        if (family == 6 && !parent) // of the addresses in use
            bytes[0] = static_cast<unsigned char>(0x20 | (bytes[0] & 0x1f));
        return {Address(a), length};
    }

    unsigned bits_, scale_;
    std::vector<Prefix> prefixes_;
};

match::Field<std::uint16_t> ports(Random &random, const Ports &weights)
{
    static constexpr std::uint16_t services[] = {
        20,  21,  22,  23,  25,  53,  67,  69,  80,  110, 111,  123,  135,  137,  139,  143,
        161, 162, 179, 389, 443, 445, 514, 636, 993, 995, 1521, 1723, 3306, 3389, 5060, 8080};
    static constexpr Range<std::uint16_t> ranges[] = {
        {6000, 6063}, {137, 139}, {20, 21}, {33434, 33600}, {5000, 5010}, {2000, 3999}, {1, 6}};
    unsigned kind = percent(random);
    auto is = [&](unsigned weight) {
        const bool yes = kind < weight;
        kind -= weight;
        return yes;
    };
    if (is(weights.any))
        return {};
    if (is(weights.high))
        return {{{1024, 65535}}};
    if (is(weights.low))
        return {{{0, 1023}}};
    if (is(weights.range)) {
        if (below(random, 2))
            return {{one_of(random, ranges)}};
        const auto a = static_cast<std::uint16_t>(random());
        const auto b = static_cast<std::uint16_t>(random());
        return {{{std::min(a, b), std::max(a, b)}}};
    }
    const std::uint16_t one =
        below(random, 3) ? one_of(random, services) : static_cast<std::uint16_t>(random());
    return {{{one, one}}};
}

match::Match shaped_match(Random &random, const Weights &weights, int family, const Plan &sources,
                          const Plan &destinations)
{
    match::Match m;
    m.family = family;
    if (const auto src = sources.pick(random, weights.src))
        m.src.ranges = {match::range_of(*src)};
    if (const auto dst = destinations.pick(random, weights.dst))
        m.dst.ranges = {match::range_of(*dst)};
    const unsigned kind = percent(random);
    const unsigned tcp = weights.tcp, udp = tcp + weights.udp, icmp = udp + weights.icmp;
    std::uint8_t number = 0;
    if (kind < tcp)
        number = IPPROTO_TCP;
    else if (kind < udp)
        number = IPPROTO_UDP;
    else if (kind < icmp)
        number = family == 4 ? std::uint8_t{IPPROTO_ICMP} : std::uint8_t{IPPROTO_ICMPV6};
    if (number)
        m.protocol.ranges = {{number, number}};
    if (number == IPPROTO_TCP || number == IPPROTO_UDP) {
        m.sport = ports(random, weights.sport);
        m.dport = ports(random, weights.dport);
    }
    return m;
}

} // namespace

std::vector<Rule> shaped_rules(Random &random, Shape shape, int family, std::size_t n)
{
    static constexpr efw_action actions[] = {EFW_ACCEPT, EFW_ACCEPT, EFW_ACCEPT, EFW_DROP,
                                             EFW_DROP,   EFW_REJECT, EFW_SLOW};
    const Weights weights = weights_of(shape);
    const Plan sources[] = {{random, 4, weights.src, n}, {random, 6, weights.src, n}};
    const Plan destinations[] = {{random, 4, weights.dst, n}, {random, 6, weights.dst, n}};
    std::vector<Rule> out;
    std::set<std::string> seen;
    // Near the end of what a shape has, rules would repeat for ever: then there are fewer.
    for (std::size_t tries = 0; out.size() < n && tries < 20 * n; ++tries) {
        const int f = family ? family : percent(random) < 70 ? 4 : 6;
        Rule r;
        r.match = shaped_match(random, weights, f, sources[f == 6], destinations[f == 6]);
        // The more a rule leaves open, the later it stands: else it would hide the rest.
        const unsigned open = !r.match.src.asked() + !r.match.dst.asked() +
                              !r.match.protocol.asked() + !r.match.dport.asked();
        r.priority = Rule::default_priority + open * 10;
        r.action = percent(random) < 2 ? EFW_COUNT : one_of(random, actions);
        if (seen.insert(text_of(r)).second)
            out.push_back(std::move(r));
    }
    return out;
}

} // namespace evnf::efw::model
