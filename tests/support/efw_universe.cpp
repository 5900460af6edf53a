// SPDX-License-Identifier: GPL-2.0-or-later
#include "support/efw_universe.hpp"

#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <stdexcept>

namespace evnf::efw::universe
{

namespace
{

constexpr std::array<std::uint8_t, 7> protocols{6, 17, 132, 1, 58, 47, 50};
// Rules ask for the first only within ranges, and for the second not at all.
constexpr std::array<std::uint8_t, 2> other_protocols{8, 33};
constexpr std::array<std::uint8_t, 4> some_flags{0x00, 0x02, 0x10, 0x12};

Address address(int family, unsigned n)
{
    auto a = Address::parse((family == 4 ? "10.0.0." : "2001:db8::") + std::to_string(n));
    if (!a)
        throw std::logic_error(a.error().what);
    return *a;
}

// One or two ranges of the numbers from `low` on, as `value` makes them.
template <class Value, class Make>
match::Field<Value> field(Random &random, unsigned low, Make value)
{
    match::Field<Value> out;
    for (unsigned n = 1 + below(random, 2); n > 0; --n) {
        const unsigned first = low + below(random, 3);
        const unsigned last = first + below(random, 2);
        out.ranges.push_back({value(first), value(last)});
    }
    out.ranges = match::normalized(out.ranges);
    out.negated = below(random, 5) == 0;
    return out;
}

template <class Value>
match::Field<Value> field(Random &random, unsigned low)
{
    return field<Value>(random, low, [](unsigned n) { return static_cast<Value>(n); });
}

void ask_ports(Random &random, match::Match &m)
{
    if (below(random, 2))
        m.protocol = {
            {{static_cast<std::uint8_t>(below(random, 2) ? 6 : 17), static_cast<std::uint8_t>(17)}},
            false};
    if (below(random, 2))
        m.sport = field<std::uint16_t>(random, 0);
    if (below(random, 3))
        m.dport = field<std::uint16_t>(random, 0);
}

void ask_sets(Random &random, match::Match &m)
{
    const std::array<match::SetUse, 3> uses{{{match::SetKey::saddr, "bad", false},
                                             {match::SetKey::daddr, "bad", false},
                                             {match::SetKey::dport, "open", false}}};
    for (auto use : uses)
        if (below(random, 3) == 0) {
            use.negated = below(random, 2);
            m.sets.push_back(use);
        }
    std::sort(m.sets.begin(), m.sets.end());
}

void ask_interface(Random &random, match::Match &m)
{
    for (const char *name : {"e*", "eth*", "eth0", "eth1"})
        if (below(random, 3) == 0)
            m.in.names.emplace_back(name);
    m.in.negated = m.in.asked() && below(random, 4) == 0;
}

void ask(Random &random, Asked asked, match::Match &m)
{
    const int family = m.family;
    const auto make = [family](unsigned n) { return address(family, n); };
    switch (asked) {
    case a_src:
    case a_dst:
        if (family)
            (asked == a_src ? m.src : m.dst) = field<Address>(random, 0, make);
        break;
    case a_ports:
        ask_ports(random, m);
        break;
    case a_icmp:
        m.icmp = field<std::uint16_t>(random, 0x800);
        break;
    case a_flags:
        m.tcp_flags.mask = some_flags[1 + below(random, 3)];
        m.tcp_flags.value =
            static_cast<std::uint8_t>(some_flags[below(random, 4)] & m.tcp_flags.mask);
        m.tcp_flags.negated = below(random, 2);
        break;
    case a_in:
        ask_interface(random, m);
        break;
    case a_vlan:
        m.vlan = field<std::uint16_t>(random, 1);
        break;
    case a_dscp:
        m.dscp = field<std::uint8_t>(random, 0);
        break;
    case a_length:
        m.length = field<std::uint16_t>(random, 60);
        break;
    case a_sets:
        ask_sets(random, m);
        break;
    case askeds:
        break;
    }
}

// One of each kind, of each of some protocols.
std::vector<Packet> plain_packets()
{
    std::vector<Packet> out;
    const auto put = [&](int family, std::uint8_t protocol, pkt_frag fragment, Header header) {
        Packet p;
        p.src = p.dst = address(family, 0);
        p.protocol = protocol;
        p.fragment = fragment;
        p.header = header;
        p.length = least_length(p);
        out.push_back(p);
    };
    for (const auto fragment : {PKT_FRAG_NONE, PKT_FRAG_FIRST, PKT_FRAG_LATER}) {
        for (const int family : {4, 6}) {
            for (const auto protocol : protocols)
                put(family, protocol, fragment, Header::whole);
            for (const auto protocol : other_protocols)
                put(family, protocol, fragment, Header::whole);
        }
        put(6, 0, fragment, Header::unread);
    }
    for (const auto protocol : std::array<std::uint8_t, 3>{6, 17, 132}) {
        put(4, protocol, PKT_FRAG_NONE, Header::malformed);
        put(6, protocol, PKT_FRAG_NONE, Header::malformed);
    }
    put(4, 1, PKT_FRAG_NONE, Header::malformed);
    put(6, 58, PKT_FRAG_NONE, Header::malformed);
    return out;
}

bool has(const Fields &fields, Asked asked)
{
    return std::find(fields.begin(), fields.end(), asked) != fields.end();
}

// Each packet in as many forms as `vary` makes of it.
template <class Vary>
void vary(std::vector<Packet> &packets, Vary vary_one)
{
    std::vector<Packet> out;
    for (const auto &p : packets)
        vary_one(p, [&](const Packet &q) { out.push_back(q); });
    packets = std::move(out);
}

void vary_set(std::vector<Packet> &packets, match::SetKey key, const char *name)
{
    vary(packets, [&](Packet p, auto put) {
        if (key != match::SetKey::dport || has_ports(p.transport())) {
            p.sets.push_back({key, name, true});
            put(p);
            p.sets.back().negated = false;
        }
        put(p);
    });
}

void vary_addresses(std::vector<Packet> &packets, Address Packet::*end)
{
    vary(packets, [&](Packet p, auto put) {
        const int family = (p.*end).family();
        for (unsigned n = 0; n < 5; ++n) {
            p.*end = address(family, n);
            put(p);
        }
    });
}

} // namespace

Fields any_fields(Random &random, unsigned n)
{
    Fields all;
    for (int a = 0; a < askeds; ++a)
        all.push_back(static_cast<Asked>(a));
    std::shuffle(all.begin(), all.end(), random);
    all.resize(n);
    return all;
}

Rule any_rule(Random &random, const Fields &fields)
{
    Rule rule;
    constexpr std::array actions{EFW_ACCEPT, EFW_DROP, EFW_DROP, EFW_SLOW, EFW_COUNT};
    rule.action = actions[below(random, actions.size())];
    if (below(random, 6) == 0)
        rule.limit = Limit{.packets = 1 + below(random, 2)};
    match::Match &m = rule.match;
    m.family = std::array{0, 4, 4, 6}[below(random, 4)];
    if (below(random, 4) == 0)
        m.protocol = {{{protocols[below(random, protocols.size())], 0}}, below(random, 4) == 0};
    if (m.protocol.asked())
        m.protocol.ranges[0].last = m.protocol.ranges[0].first;
    if (below(random, 8) == 0) {
        const auto kind = static_cast<std::uint8_t>(below(random, 3));
        m.fragment = {{{kind, kind}}, below(random, 2) == 0};
    }
    for (const auto asked : fields)
        if (below(random, 3))
            ask(random, asked, m);
    if (below(random, 100) == 0) { // means nothing
        m = {.family = 4, .protocol = {{{47, 47}}, false}};
        m.tcp_flags.mask = m.tcp_flags.value = 0x02;
        m.fragment = {{{PKT_FRAG_NONE, PKT_FRAG_NONE}}, false};
    }
    return rule;
}

std::vector<Rule> any_rules(Random &random, const Fields &fields, unsigned n)
{
    std::vector<Rule> out;
    for (unsigned i = 0; i < n; ++i)
        out.push_back(any_rule(random, fields));
    return out;
}

std::vector<Packet> all_packets(const Fields &fields)
{
    std::vector<Packet> out = plain_packets();
    if (has(fields, a_src))
        vary_addresses(out, &Packet::src);
    if (has(fields, a_dst))
        vary_addresses(out, &Packet::dst);
    if (has(fields, a_ports))
        vary(out, [](Packet p, auto put) {
            const unsigned n = has_ports(p.transport()) ? 5 : 1;
            for (unsigned i = 0; i < n * n; ++i) {
                p.sport = static_cast<std::uint16_t>(i / n);
                p.dport = static_cast<std::uint16_t>(i % n);
                put(p);
            }
        });
    if (has(fields, a_icmp))
        vary(out, [](Packet p, auto put) {
            for (unsigned i = 0; i < (p.transport() == Transport::icmp ? 5U : 1U); ++i) {
                p.icmp =
                    static_cast<std::uint16_t>(p.transport() == Transport::icmp ? 0x800 + i : 0);
                put(p);
            }
        });
    if (has(fields, a_flags))
        vary(out, [](Packet p, auto put) {
            for (const auto flags : some_flags)
                if (flags == 0 || p.transport() == Transport::tcp) {
                    p.tcp_flags = flags;
                    put(p);
                }
        });
    if (has(fields, a_in))
        vary(out, [](Packet p, auto put) {
            for (const char *name : {"", "en", "eth0", "eth1", "eth2"}) {
                p.in = name;
                put(p);
            }
        });
    if (has(fields, a_vlan))
        vary(out, [](Packet p, auto put) {
            put(p);
            for (std::uint16_t vlan = 1; vlan < 6; ++vlan) {
                p.vlan = vlan;
                put(p);
            }
        });
    if (has(fields, a_dscp))
        vary(out, [](Packet p, auto put) {
            for (p.dscp = 0; p.dscp < 5; ++p.dscp)
                put(p);
        });
    if (has(fields, a_length))
        vary(out, [](Packet p, auto put) {
            const auto least = p.length;
            if (least < 60)
                put(p);
            for (p.length = 60; p.length < 65; ++p.length)
                if (p.length >= least && p.length <= greatest_length(p))
                    put(p);
        });
    if (has(fields, a_sets)) {
        vary_set(out, match::SetKey::saddr, "bad");
        vary_set(out, match::SetKey::daddr, "bad");
        vary_set(out, match::SetKey::dport, "open");
    }
    return out;
}

} // namespace evnf::efw::universe
