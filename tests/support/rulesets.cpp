// SPDX-License-Identifier: GPL-2.0-or-later
#include "support/rulesets.hpp"

#include <netinet/in.h>

#include <set>

namespace evnf::efw::model
{

namespace
{

using match::Field;
using match::Range;
using match::Ranges;

bool once_in(Random &random, unsigned n)
{
    return below(random, n) == 0;
}

// One value or a few, alone or as ranges.
template <class Value, class Any>
Field<Value> any_field(Random &random, Any any, Value greatest = match::Space<Value>::greatest())
{
    Field<Value> out;
    for (unsigned n = below(random, 3) ? 1 : 2 + below(random, 3); n; --n) {
        const Value a = any();
        const Value b = below(random, 2) ? a : any();
        out.ranges.push_back({std::min(a, b), std::max(a, b)});
    }
    out.ranges = match::normalized(out.ranges);
    // None of all there are is nothing to ask for.
    const bool all = out.ranges.front() == Range<Value>{match::Space<Value>::least(), greatest};
    out.negated = !all && once_in(random, 4);
    return out;
}

Range<Address> any_addresses(Random &random, int family)
{
    if (below(random, 4))
        return match::range_of(any_prefix(random, family));
    const Address a = any_address(random, family), b = any_address(random, family);
    return {std::min(a, b), std::max(a, b)};
}

Field<Address> any_address_field(Random &random, int family)
{
    Field<Address> out;
    for (unsigned n = below(random, 3) ? 1 : 2 + below(random, 3); n; --n)
        out.ranges.push_back(any_addresses(random, family));
    out.ranges = match::normalized(out.ranges);
    const auto all = match::range_of({family == 4 ? *Address::parse("0.0.0.0") : Address{}, 0});
    out.negated = out.ranges.front() != all && once_in(random, 4);
    return out;
}

bool is_one(const Field<std::uint8_t> &protocol, std::uint8_t number)
{
    return !protocol.negated && protocol.ranges == Ranges<std::uint8_t>{{number, number}};
}

void ask_protocol(Random &random, match::Match &m)
{
    static constexpr std::uint8_t with_ports[] = {IPPROTO_TCP, IPPROTO_TCP, IPPROTO_UDP,
                                                  IPPROTO_SCTP};
    static constexpr std::uint8_t any[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_GRE,
                                           0,           255,         IPPROTO_ESP};
    switch (below(random, 8)) {
    case 0:
        return;
    case 1: // ICMP is of one family
        if (!m.family)
            m.family = once_in(random, 2) ? 4 : 6;
        m.protocol.ranges.push_back(m.family == 4
                                        ? Range<std::uint8_t>{IPPROTO_ICMP, IPPROTO_ICMP}
                                        : Range<std::uint8_t>{IPPROTO_ICMPV6, IPPROTO_ICMPV6});
        return;
    case 2:
        m.protocol = any_field<std::uint8_t>(random, [&] { return one_of(random, any); });
        return;
    case 3: // whatever has ports
        m.protocol.ranges = {{IPPROTO_TCP, IPPROTO_TCP}, {IPPROTO_UDP, IPPROTO_UDP}};
        return;
    default: {
        const std::uint8_t one = one_of(random, with_ports);
        m.protocol.ranges = {{one, one}};
    }
    }
}

bool has_ports(const match::Match &m)
{
    if (!m.protocol.asked() || m.protocol.negated)
        return false;
    for (const auto &r : m.protocol.ranges)
        for (unsigned v = r.first; v <= r.last; ++v)
            if (v != IPPROTO_TCP && v != IPPROTO_UDP && v != IPPROTO_SCTP)
                return false;
    return true;
}

void ask_transport(Random &random, match::Match &m)
{
    auto port = [&] { return any_port(random); };
    if (has_ports(m)) {
        if (below(random, 2))
            m.sport = any_field<std::uint16_t>(random, port);
        if (below(random, 2))
            m.dport = any_field<std::uint16_t>(random, port);
    }
    if (is_one(m.protocol, IPPROTO_TCP) && once_in(random, 3)) {
        static constexpr std::uint8_t masks[] = {0x02, 0x12, 0x17, 0x3f, 0x01, 0xff, 0xc0};
        m.tcp_flags.mask = one_of(random, masks);
        m.tcp_flags.value = static_cast<std::uint8_t>(random()) & m.tcp_flags.mask;
        m.tcp_flags.negated = once_in(random, 4);
        const bool single = (m.tcp_flags.mask & (m.tcp_flags.mask - 1)) == 0;
        if (single && m.tcp_flags.value) // that it is set, is that it is not clear
            m.tcp_flags = {m.tcp_flags.mask, 0, !m.tcp_flags.negated};
    }
    if ((is_one(m.protocol, IPPROTO_ICMP) || is_one(m.protocol, IPPROTO_ICMPV6)) &&
        below(random, 3)) {
        static constexpr std::uint16_t types[] = {0, 3, 8, 128, 129, 135, 255};
        const auto first = static_cast<std::uint16_t>(one_of(random, types) * 256);
        const auto code = static_cast<std::uint16_t>(first + below(random, 3));
        m.icmp.ranges = {once_in(random, 2) ? Range<std::uint16_t>{code, code}
                                            : Range<std::uint16_t>{
                                                  first, static_cast<std::uint16_t>(first + 255)}};
        m.icmp.negated = once_in(random, 4);
    }
}

void ask_interfaces(Random &random, match::Match &m)
{
    // No name of a list says what another says already.
    static const std::vector<std::string> lists[] = {{"lan0"}, {"lan1"},  {"wan0"},
                                                     {"lan*"}, {"lan1*"}, {"dmz", "lan10"},
                                                     {"d*"},   {"gone0"}, {"lan1", "wan*"}};
    m.in = {one_of(random, lists), once_in(random, 4)};
}

void ask_link(Random &random, match::Match &m)
{
    static constexpr std::uint16_t ids[] = {0, 1, 2, 100, 4094, 4095};
    static constexpr std::uint8_t dscps[] = {0, 1, 8, 46, 62, 63};
    static constexpr Range<std::uint8_t> fragments[] = {{PKT_FRAG_NONE, PKT_FRAG_NONE},
                                                        {PKT_FRAG_FIRST, PKT_FRAG_FIRST},
                                                        {PKT_FRAG_FIRST, PKT_FRAG_LATER},
                                                        {PKT_FRAG_LATER, PKT_FRAG_LATER}};
    if (once_in(random, 8))
        ask_interfaces(random, m);
    if (once_in(random, 10))
        m.vlan = any_field<std::uint16_t>(
            random, [&] { return one_of(random, ids); }, 4095);
    // Every packet has the rest: the language refuses to ask for all values.
    while (once_in(random, 10) || m.dscp.ranges == Ranges<std::uint8_t>{{0, 63}})
        m.dscp = any_field<std::uint8_t>(
            random, [&] { return one_of(random, dscps); }, 63);
    while (once_in(random, 10) || m.length.ranges == Ranges<std::uint16_t>{{0, 65535}})
        m.length = any_field<std::uint16_t>(random, [&] { return any_length(random); });
    if (once_in(random, 12))
        m.fragment = {{one_of(random, fragments)}, once_in(random, 3)};
}

void ask_set(Random &random, match::Match &m, const Sets &sets)
{
    using match::SetKey;
    const auto &[name, family, ports] = one_of(random, set_names);
    if (!sets.contains(name) || (m.family && family && m.family != family))
        return;
    if (ports && !has_ports(m))
        return;
    const bool source = below(random, 2);
    const SetKey key = !ports   ? (source ? SetKey::saddr : SetKey::daddr)
                       : family ? (source ? SetKey::saddr_sport : SetKey::daddr_dport)
                                : (source ? SetKey::sport : SetKey::dport);
    if (family && below(random, 4))
        m.family = family;
    const auto same = [&](const match::SetUse &use) { return use.key == key && use.set == name; };
    if (std::none_of(m.sets.begin(), m.sets.end(), same))
        m.sets.push_back({key, name, once_in(random, 3)});
    std::sort(m.sets.begin(), m.sets.end());
}

} // namespace

Address any_address(Random &random, int family)
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

Prefix any_prefix(Random &random, int family)
{
    static constexpr unsigned edges[] = {0, 1, 31, 32, 33, 95, 96, 97, 127, 128};
    const unsigned bits = family == 4 ? 32 : 128;
    const unsigned length =
        std::min(below(random, 2) ? below(random, bits + 1) : one_of(random, edges), bits);
    ip_addr a = any_address(random, family).raw();
    auto *bytes = reinterpret_cast<unsigned char *>(&a);
    for (unsigned i = 128 - bits + length; i < 128; ++i)
        bytes[i / 8] = static_cast<unsigned char>(bytes[i / 8] & ~(0x80U >> i % 8));
    return {Address(a), length};
}

std::uint16_t any_port(Random &random)
{
    static constexpr std::uint16_t some[] = {0, 1, 79, 80, 81, 443, 1023, 1024, 65534, 65535};
    return below(random, 8) ? one_of(random, some) : static_cast<std::uint16_t>(random());
}

std::uint16_t any_length(Random &random)
{
    static constexpr std::uint16_t some[] = {0, 20, 40, 41, 60, 100, 576, 1500, 9000, 65535};
    return below(random, 4) ? one_of(random, some) : static_cast<std::uint16_t>(random());
}

Sets any_sets(Random &random)
{
    Sets out;
    for (const auto &[name, family, ports] : set_names) {
        Set &set = out[name];
        for (unsigned n = below(random, 6); n; --n) {
            Element e;
            if (family && ports) { // one address and port
                const Address one = any_address(random, family);
                e.address = {one, one};
            } else if (family) {
                e.address = match::range_of(any_prefix(random, family));
            }
            if (ports) {
                const std::uint16_t port = any_port(random);
                e.port = {port, port};
            }
            set.push_back(e);
        }
    }
    return out;
}

match::Match any_match(Random &random, const Sets &sets)
{
    match::Match m;
    const int family = below(random, 3) ? 4 : 6;
    if (below(random, 2))
        m.src = any_address_field(random, family);
    if (below(random, 2))
        m.dst = any_address_field(random, family);
    if (m.src.asked() || m.dst.asked() || once_in(random, 4))
        m.family = family;
    ask_protocol(random, m);
    ask_transport(random, m);
    ask_link(random, m);
    while (once_in(random, 6))
        ask_set(random, m, sets);
    // A later fragment has nothing of layer 4: the language refuses to ask it for that.
    if (!m.fragment.allows(PKT_FRAG_NONE) && !m.fragment.allows(PKT_FRAG_FIRST))
        m.fragment = {};
    return m;
}

Rule any_rule(Random &random, const Sets &sets)
{
    static constexpr efw_action actions[] = {EFW_ACCEPT, EFW_DROP, EFW_SLOW, EFW_REJECT, EFW_COUNT};
    Rule r;
    if (once_in(random, 3))
        r.priority = below(random, 5) * 50;
    r.match = any_match(random, sets);
    r.action = one_of(random, actions);
    if (once_in(random, 5))
        r.comment = "réponse " + std::to_string(below(random, 100));
    return r;
}

std::vector<Rule> any_rules(Random &random, std::size_t most, const Sets &sets)
{
    std::vector<Rule> out;
    std::set<std::string> seen;
    const std::size_t n = random() % (most + 1);
    while (out.size() < n) {
        Rule r = any_rule(random, sets);
        if (seen.insert(text_of(r)).second)
            out.push_back(std::move(r));
    }
    return out;
}

} // namespace evnf::efw::model
