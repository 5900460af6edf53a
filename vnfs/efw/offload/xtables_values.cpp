// SPDX-License-Identifier: GPL-2.0-or-later
#include <netinet/in.h>

#include <algorithm>
#include <array>

#include "abi/pkt.h"
#include "vnfs/efw/offload/lexer.hpp"
#include "vnfs/efw/offload/xtables_reader.hpp"

namespace evnf::efw::offload
{

using match::Match;

namespace
{

constexpr std::uint8_t dscp_mask = 0xfc; // of the type of service

bool has_ports(std::uint8_t protocol)
{
    return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP;
}

// "192.0.2.0/24" or, bits in any order, "1.0.0.1/255.0.0.255".
std::optional<match::Range<Address>> prefix_range(std::string_view text, int family)
{
    const auto slash = text.find('/');
    const auto address = Address::parse(text.substr(0, slash));
    if (!address || address->family() != family)
        return std::nullopt;
    const unsigned bits = family == 4 ? 32 : 128;
    if (slash == std::string_view::npos)
        return match::range_of({*address, bits});
    auto length = number_of(text.substr(slash + 1), bits);
    if (const auto mask = Address::parse(text.substr(slash + 1)); !length && mask) {
        if (mask->family() != family)
            return std::nullopt;
        for (unsigned n = 0; n <= bits && !length; ++n) {
            // A mask that is a prefix is the greatest address of it that ends in zeros.
            const Address all = match::Space<Address>::greatest();
            ip_addr raw = family == 4 ? Address::parse("255.255.255.255")->raw() : all.raw();
            auto *bytes = reinterpret_cast<std::uint8_t *>(&raw);
            for (unsigned i = 128 - bits + n; i < 128; ++i)
                bytes[i / 8] = static_cast<std::uint8_t>(bytes[i / 8] & ~(0x80U >> i % 8));
            if (Address(raw) == *mask)
                length = n;
        }
    }
    if (!length)
        return std::nullopt;
    const auto prefix =
        Prefix::parse(std::string(text.substr(0, slash)) + "/" + std::to_string(*length));
    if (!prefix) // bits beyond it: iptables-save never writes them
        return std::nullopt;
    return match::range_of(*prefix);
}

} // namespace

std::optional<std::uint8_t> xtables_protocol(std::string_view word)
{
    static constexpr std::pair<std::string_view, std::uint8_t> names[] = {
        {"tcp", 6},        {"udp", 17},   {"icmp", 1},      {"icmpv6", 58},
        {"ipv6-icmp", 58}, {"sctp", 132}, {"udplite", 136}, {"dccp", 33},
        {"esp", 50},       {"ah", 51},    {"gre", 47},      {"igmp", 2},
        {"ipv6", 41},      {"ospf", 89},  {"vrrp", 112},    {"ipencap", 4}};
    for (const auto &[name, value] : names)
        if (word == name)
            return value;
    if (const auto n = number_of(word, 255))
        return static_cast<std::uint8_t>(*n);
    return std::nullopt;
}

bool XtablesReader::address(bool source)
{
    const auto range = prefix_range(take(), family_);
    if (!range)
        return false;
    Match m = match();
    (source ? m.src : m.dst) = {{*range}, negated_};
    is(m);
    return true;
}

bool XtablesReader::ports(bool source, bool destination, bool list,
                          std::optional<std::uint8_t> protocol)
{
    const std::string text = take();
    match::Ranges<std::uint16_t> ranges;
    for (const auto part : split(text, list ? ',' : '\n')) {
        const auto r = range_of_text<std::uint16_t>(part);
        if (!r)
            return false;
        ranges.push_back(*r);
    }
    if (!protocol || !has_ports(*protocol))
        return false;
    Match m = match();
    m.protocol = {{{*protocol, *protocol}}};
    const auto field = field_of(std::move(ranges), negated_);
    if (source && destination && !negated_) { // either of them
        Match other = m;
        m.sport = field;
        other.dport = field;
        steps_.emplace_back(IsOneOf{{m, other}});
        return true;
    }
    if (source)
        m.sport = field;
    if (destination)
        m.dport = field;
    is(m);
    return true;
}

bool XtablesReader::address_range(bool source)
{
    const std::string text = take();
    const auto parts = split(text, '-');
    const auto first = Address::parse(parts.front()), last = Address::parse(parts.back());
    if (parts.size() > 2 || !first || !last || first->family() != family_ ||
        last->family() != family_ || *last < *first)
        return false;
    Match m = match();
    (source ? m.src : m.dst) = {{{*first, *last}}, negated_};
    is(m);
    return true;
}

bool XtablesReader::flags()
{
    std::array<std::uint8_t, 2> bits{};
    for (auto &set : bits) {
        const std::string names = take();
        for (const auto name : split(names, ',')) {
            const auto bit = tcp_flag(name);
            if (!bit)
                return false;
            set = static_cast<std::uint8_t>(set | *bit);
        }
    }
    Match m = match();
    m.protocol = {{{IPPROTO_TCP, IPPROTO_TCP}}};
    m.tcp_flags = {bits[0], bits[1], negated_};
    if (bits[0] == 0) // a mask of nothing is always 0
        return false;
    is(m);
    return true;
}

bool XtablesReader::icmp()
{
    const std::string text = take();
    const auto protocol = static_cast<std::uint8_t>(family_ == 4 ? +IPPROTO_ICMP : +IPPROTO_ICMPV6);
    Match m = match();
    m.protocol = {{{protocol, protocol}}};
    const auto parts = split(text, '/');
    const auto type = number_of(parts[0], 255);
    if (text == "any" || (family_ == 4 && type == 255)) {
        if (!negated_)
            is(m);
        return !negated_;
    }
    const auto code = parts.size() == 2 ? number_of(parts[1], 255) : std::nullopt;
    if (!type || parts.size() > 2 || (parts.size() == 2 && !code))
        return false;
    const auto base = static_cast<std::uint16_t>(*type << 8);
    m.icmp = {{{static_cast<std::uint16_t>(base | code.value_or(0)),
                static_cast<std::uint16_t>(base | code.value_or(255))}},
              negated_};
    is(m);
    return true;
}

bool XtablesReader::tos()
{
    const std::string text = take();
    const auto parts = split(text, '/');
    const auto value = number_of(parts[0], 255);
    const auto mask = parts.size() == 2 ? number_of(parts[1], 255) : std::nullopt;
    if (!value || !mask || *mask != dscp_mask || (*value & ~*mask) != 0)
        return false;
    Match m = match();
    const auto dscp = static_cast<std::uint8_t>(*value >> 2);
    m.dscp = {{{dscp, dscp}}, negated_};
    is(m);
    return true;
}

bool XtablesReader::ct_states()
{
    static constexpr std::pair<std::string_view, std::uint8_t> names[] = {
        {"NEW", CT_NEW},         {"ESTABLISHED", CT_ESTABLISHED}, {"RELATED", CT_RELATED},
        {"INVALID", CT_INVALID}, {"UNTRACKED", CT_UNTRACKED},     {"SNAT", CT_SNAT},
        {"DNAT", CT_DNAT}};
    std::uint8_t states = 0;
    const std::string text = take();
    for (const auto word : split(text, ',')) {
        const auto *it = std::find_if(std::begin(names), std::end(names),
                                      [&](const auto &n) { return n.first == word; });
        if (it == std::end(names))
            return false;
        states = static_cast<std::uint8_t>(states | it->second);
    }
    // A packet has one of five states, and may have two more bits: "not A" is the others
    // only where A has none of the two.
    if (negated_ && states & (CT_SNAT | CT_DNAT))
        return false;
    constexpr std::uint8_t five = CT_NEW | CT_ESTABLISHED | CT_RELATED | CT_INVALID | CT_UNTRACKED;
    steps_.emplace_back(HasCtState{negated_ ? static_cast<std::uint8_t>(five & ~states) : states});
    return true;
}

bool XtablesReader::mark()
{
    const std::string text = take();
    const auto parts = split(text, '/');
    const auto value = number_of(parts[0], 0xffffffff);
    const auto mask = parts.size() == 2 ? number_of(parts[1], 0xffffffff) : 0xffffffff;
    if (!value || !mask || parts.size() > 2)
        return false;
    steps_.emplace_back(
        HasMark{static_cast<std::uint32_t>(*value), static_cast<std::uint32_t>(*mask), negated_});
    return true;
}

bool XtablesReader::address_types(bool source)
{
    static constexpr std::pair<std::string_view, std::uint8_t> names[] = {
        {"UNICAST", ADDRESS_UNICAST},
        {"LOCAL", ADDRESS_LOCAL},
        {"BROADCAST", ADDRESS_BROADCAST},
        {"MULTICAST", ADDRESS_MULTICAST}};
    std::uint8_t types = 0;
    const std::string text = take();
    for (const auto word : split(text, ',')) {
        const auto *it = std::find_if(std::begin(names), std::end(names),
                                      [&](const auto &n) { return n.first == word; });
        if (it == std::end(names))
            return false;
        types = static_cast<std::uint8_t>(types | it->second);
    }
    steps_.emplace_back(HasAddressType{source, types, negated_});
    return true;
}

bool XtablesReader::packet_type()
{
    // Only frames to the interface's own address are decided here: see plan.hpp.
    const std::string type = take();
    if (type != "unicast" && type != "broadcast" && type != "multicast")
        return false;
    const bool so = (type == "unicast") != negated_;
    steps_.emplace_back(
        IsOneOf{so ? std::vector{match()} : std::vector<Match>{}, "to whom the frame was sent"});
    return true;
}

void XtablesReader::interface(bool in)
{
    std::string name = take();
    if (name == "+" && !negated_)
        return;
    const std::string written = name;
    if (name.ends_with('+'))
        name.back() = '*';
    if (!in) {
        steps_.emplace_back(
            Unknown{.what = "-o " + written + ": the interface by which it will leave",
                    .lasting = false,
                    .out = {{name}, negated_}});
        return;
    }
    Match m = match();
    m.in = {{name}, negated_};
    is(m);
}

} // namespace evnf::efw::offload
