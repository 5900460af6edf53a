// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/offload/nft_values.hpp"

#include <netdb.h>
#include <netinet/in.h>

#include <array>
#include <map>

#include "vnfs/efw/offload/lexer.hpp"

namespace evnf::efw::offload
{

namespace
{

using match::Field;
using match::Match;
using match::Range;
using match::Ranges;

using Names = std::map<std::string, std::uint8_t, std::less<>>;

const Names protocols{{"icmp", 1},  {"igmp", 2},   {"ipencap", 4}, {"tcp", 6},
                      {"udp", 17},  {"dccp", 33},  {"gre", 47},    {"ipv6", 41},
                      {"esp", 50},  {"ah", 51},    {"icmpv6", 58}, {"ipv6-icmp", 58},
                      {"ospf", 89}, {"vrrp", 112}, {"sctp", 132},  {"udplite", 136}};
const Names dscps{{"cs0", 0},   {"cs1", 8},   {"cs2", 16},  {"cs3", 24},  {"cs4", 32},
                  {"cs5", 40},  {"cs6", 48},  {"cs7", 56},  {"be", 0},    {"df", 0},
                  {"lephb", 1}, {"af11", 10}, {"af12", 12}, {"af13", 14}, {"af21", 18},
                  {"af22", 20}, {"af23", 22}, {"af31", 26}, {"af32", 28}, {"af33", 30},
                  {"af41", 34}, {"af42", 36}, {"af43", 38}, {"ef", 46}};
const Names icmp_types{{"echo-reply", 0},           {"destination-unreachable", 3},
                       {"source-quench", 4},        {"redirect", 5},
                       {"echo-request", 8},         {"router-advertisement", 9},
                       {"router-solicitation", 10}, {"time-exceeded", 11},
                       {"parameter-problem", 12},   {"timestamp-request", 13},
                       {"timestamp-reply", 14},     {"info-request", 15},
                       {"info-reply", 16},          {"address-mask-request", 17},
                       {"address-mask-reply", 18}};
const Names icmpv6_types{
    {"destination-unreachable", 1},  {"packet-too-big", 2},         {"time-exceeded", 3},
    {"parameter-problem", 4},        {"echo-request", 128},         {"echo-reply", 129},
    {"mld-listener-query", 130},     {"mld-listener-report", 131},  {"mld-listener-done", 132},
    {"mld-listener-reduction", 132}, {"nd-router-solicit", 133},    {"nd-router-advert", 134},
    {"nd-neighbor-solicit", 135},    {"nd-neighbor-advert", 136},   {"nd-redirect", 137},
    {"router-renumbering", 138},     {"ind-neighbor-solicit", 141}, {"ind-neighbor-advert", 142},
    {"mld2-listener-report", 143}};

// nft writes the names of /etc/protocols, of which there are more.
std::optional<std::uint64_t> protocol_here(const std::string &name)
{
    protoent entry{}, *found = nullptr;
    std::array<char, 2048> buffer{};
    if (::getprotobyname_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) || !found ||
        found->p_proto < 0 || found->p_proto > 255)
        return std::nullopt;
    return static_cast<std::uint64_t>(found->p_proto);
}

std::optional<std::uint64_t> number(const json &value, std::uint64_t most, const Names &names)
{
    if (value.is_number_unsigned()) {
        const auto n = value.get<std::uint64_t>();
        return n <= most ? std::optional(n) : std::nullopt;
    }
    if (!value.is_string())
        return std::nullopt;
    const auto &text = value.get_ref<const std::string &>();
    const auto it = names.find(text);
    if (it != names.end())
        return it->second;
    if (&names == &protocols)
        if (const auto known = protocol_here(text))
            return known;
    return number_of(text, most);
}

// The two ends of {"range": [a, b]}, or a value twice.
std::optional<std::pair<json, json>> ends(const json &value)
{
    if (!value.is_object())
        return std::pair{value, value};
    const auto it = value.find("range");
    if (value.size() != 1 || it == value.end() || !it->is_array() || it->size() != 2)
        return std::nullopt;
    return std::pair{(*it)[0], (*it)[1]};
}

template <class Value>
std::optional<Ranges<Value>> numbers(const std::vector<json> &values, std::uint64_t most,
                                     const Names &names = {})
{
    Ranges<Value> out;
    for (const auto &v : values) {
        const auto e = ends(v);
        if (!e)
            return std::nullopt;
        const auto first = number(e->first, most, names), last = number(e->second, most, names);
        if (!first || !last || *first > *last)
            return std::nullopt;
        out.push_back({static_cast<Value>(*first), static_cast<Value>(*last)});
    }
    return match::normalized(std::move(out));
}

std::optional<Range<Address>> address_range(const json &value, int family)
{
    auto address = [&](const json &text) -> std::optional<Address> {
        if (!text.is_string())
            return std::nullopt;
        const auto a = Address::parse(text.get_ref<const std::string &>());
        return a && a->family() == family ? std::optional(*a) : std::nullopt;
    };
    if (value.is_object() && value.size() == 1 && value.contains("prefix")) {
        const json &prefix = value["prefix"];
        if (!prefix.is_object() || !prefix.contains("addr") || !prefix.contains("len"))
            return std::nullopt;
        const auto a = address(prefix["addr"]);
        const auto length = number(prefix["len"], family == 4 ? 32 : 128, {});
        if (!a || !length)
            return std::nullopt;
        const auto whole = Prefix::parse(a->text() + "/" + std::to_string(*length));
        return whole ? std::optional(match::range_of(*whole)) : std::nullopt;
    }
    const auto e = ends(value);
    if (!e)
        return std::nullopt;
    const auto first = address(e->first), last = address(e->second);
    if (!first || !last || *last < *first)
        return std::nullopt;
    return Range<Address>{*first, *last};
}

std::optional<Match> addresses(NftKey key, const std::vector<json> &values, bool negated)
{
    const int family = key == NftKey::ip_saddr || key == NftKey::ip_daddr ? 4 : 6;
    Ranges<Address> ranges;
    for (const auto &v : values) {
        const auto r = address_range(v, family);
        if (!r)
            return std::nullopt;
        ranges.push_back(*r);
    }
    Match m{.family = family};
    const bool source = key == NftKey::ip_saddr || key == NftKey::ip6_saddr;
    (source ? m.src : m.dst) = field_of(std::move(ranges), negated);
    return m;
}

std::optional<Match> ports(NftKey key, const std::vector<json> &values, bool negated)
{
    const std::uint8_t protocol = key == NftKey::tcp_sport || key == NftKey::tcp_dport ? IPPROTO_TCP
                                  : key == NftKey::udp_sport || key == NftKey::udp_dport
                                      ? IPPROTO_UDP
                                      : IPPROTO_SCTP;
    auto ranges = numbers<std::uint16_t>(values, 65535);
    if (!ranges)
        return std::nullopt;
    Match m;
    m.protocol = {{{protocol, protocol}}};
    const bool source =
        key == NftKey::tcp_sport || key == NftKey::udp_sport || key == NftKey::sctp_sport;
    (source ? m.sport : m.dport) = {std::move(*ranges), negated};
    return m;
}

// Only one value: which of the two families it is.
std::optional<Match> family(const std::vector<json> &values, bool negated)
{
    if (values.size() != 1 || !values[0].is_string())
        return std::nullopt;
    const auto &name = values[0].get_ref<const std::string &>();
    int family = name == "ipv4" || name == "ip" ? 4 : name == "ipv6" || name == "ip6" ? 6 : 0;
    if (!family)
        return std::nullopt;
    return Match{.family = negated ? 10 - family : family}; // efw decides on these two only
}

std::optional<Match> interfaces(const std::vector<json> &values, bool negated)
{
    Match m;
    m.in.negated = negated;
    for (const auto &v : values) {
        // "*" is what is in no other element of a set.
        if (!v.is_string() || v.get_ref<const std::string &>().empty() || v == "*")
            return std::nullopt;
        m.in.names.push_back(v);
    }
    std::sort(m.in.names.begin(), m.in.names.end());
    return m;
}

std::optional<Match> icmp(bool v6, const std::vector<json> &values, bool negated)
{
    const auto types = numbers<std::uint8_t>(values, 255, v6 ? icmpv6_types : icmp_types);
    if (!types)
        return std::nullopt;
    Match m{.family = v6 ? 6 : 4};
    const auto protocol = static_cast<std::uint8_t>(v6 ? +IPPROTO_ICMPV6 : +IPPROTO_ICMP);
    m.protocol = {{{protocol, protocol}}};
    Ranges<std::uint16_t> ranges;
    for (const auto &t : *types)
        ranges.push_back({static_cast<std::uint16_t>(t.first << 8),
                          static_cast<std::uint16_t>(t.last << 8 | 255)});
    m.icmp = field_of(std::move(ranges), negated);
    return m;
}

} // namespace

std::optional<NftKey> nft_key(const json &e)
{
    static const std::map<std::string, NftKey> payloads{
        {"ip saddr", NftKey::ip_saddr},       {"ip daddr", NftKey::ip_daddr},
        {"ip6 saddr", NftKey::ip6_saddr},     {"ip6 daddr", NftKey::ip6_daddr},
        {"ip protocol", NftKey::ip_protocol}, {"ip6 nexthdr", NftKey::ip6_nexthdr},
        {"ip length", NftKey::ip_length},     {"ip6 length", NftKey::ip6_length},
        {"ip dscp", NftKey::ip_dscp},         {"ip6 dscp", NftKey::ip6_dscp},
        {"tcp sport", NftKey::tcp_sport},     {"tcp dport", NftKey::tcp_dport},
        {"udp sport", NftKey::udp_sport},     {"udp dport", NftKey::udp_dport},
        {"sctp sport", NftKey::sctp_sport},   {"sctp dport", NftKey::sctp_dport},
        {"tcp flags", NftKey::tcp_flags},     {"icmp type", NftKey::icmp_type},
        {"icmpv6 type", NftKey::icmpv6_type}};
    static const std::map<std::string, NftKey> metas{
        {"l4proto", NftKey::l4proto},   {"nfproto", NftKey::nfproto},
        {"protocol", NftKey::protocol}, {"iifname", NftKey::iifname},
        {"iif", NftKey::iifname},       {"length", NftKey::meta_length}};
    auto text = [](const json &o, const char *key) {
        return o.is_object() && o.contains(key) && o[key].is_string() ? o[key].get<std::string>()
                                                                      : std::string();
    };
    auto find = [](const auto &keys, const std::string &name) -> std::optional<NftKey> {
        const auto it = keys.find(name);
        return it != keys.end() ? std::optional(it->second) : std::nullopt;
    };
    if (!e.is_object() || e.size() != 1)
        return std::nullopt;
    if (e.contains("payload") && !e["payload"].contains("base"))
        return find(payloads, text(e["payload"], "protocol") + " " + text(e["payload"], "field"));
    if (e.contains("meta"))
        return find(metas, text(e["meta"], "key"));
    return std::nullopt;
}

std::optional<std::uint8_t> nft_protocol(const json &value)
{
    const auto n = number(value, 255, protocols);
    return n ? std::optional(static_cast<std::uint8_t>(*n)) : std::nullopt;
}

std::optional<std::uint8_t> nft_tcp_flags(const json &value)
{
    if (value.is_number_unsigned())
        return value.get<std::uint64_t>() < 256 ? std::optional(value.get<std::uint8_t>())
                                                : std::nullopt;
    if (value.is_string())
        return tcp_flag(value.get_ref<const std::string &>());
    std::uint8_t flags = 0;
    if (!value.is_array())
        return std::nullopt;
    for (const auto &name : value) {
        const auto one =
            name.is_string() ? tcp_flag(name.get_ref<const std::string &>()) : std::nullopt;
        if (!one)
            return std::nullopt;
        flags = static_cast<std::uint8_t>(flags | *one);
    }
    return flags;
}

std::optional<Match> nft_match(NftKey key, const std::vector<json> &values, bool negated)
{
    Match m;
    if (values.empty()) // an empty set is one without values, not one that does not matter
        return std::nullopt;
    switch (key) {
    case NftKey::ip_saddr:
    case NftKey::ip_daddr:
    case NftKey::ip6_saddr:
    case NftKey::ip6_daddr:
        return addresses(key, values, negated);
    case NftKey::tcp_sport:
    case NftKey::tcp_dport:
    case NftKey::udp_sport:
    case NftKey::udp_dport:
    case NftKey::sctp_sport:
    case NftKey::sctp_dport:
        return ports(key, values, negated);
    case NftKey::nfproto:
    case NftKey::protocol:
        return family(values, negated);
    case NftKey::iifname:
        return interfaces(values, negated);
    case NftKey::icmp_type:
    case NftKey::icmpv6_type:
        return icmp(key == NftKey::icmpv6_type, values, negated);
    case NftKey::ip_protocol:
    case NftKey::ip6_nexthdr:
    case NftKey::l4proto: {
        auto ranges = numbers<std::uint8_t>(values, 255, protocols);
        if (!ranges)
            return std::nullopt;
        m.family = key == NftKey::ip_protocol ? 4 : key == NftKey::ip6_nexthdr ? 6 : 0;
        m.protocol = {std::move(*ranges), negated};
        return m;
    }
    case NftKey::ip_dscp:
    case NftKey::ip6_dscp: {
        auto ranges = numbers<std::uint8_t>(values, 63, dscps);
        if (!ranges)
            return std::nullopt;
        m.family = key == NftKey::ip_dscp ? 4 : 6;
        m.dscp = {std::move(*ranges), negated};
        return m;
    }
    case NftKey::ip_length:
    case NftKey::ip6_length:
    case NftKey::meta_length: {
        constexpr std::uint16_t header = 40; // which the payload's length leaves out
        const bool v6 = key == NftKey::ip6_length;
        auto ranges = numbers<std::uint16_t>(values, v6 ? 65535 - header : 65535);
        if (!ranges)
            return std::nullopt;
        for (auto &r : *ranges)
            if (v6)
                r = {static_cast<std::uint16_t>(r.first + header),
                     static_cast<std::uint16_t>(r.last + header)};
        m.family = key == NftKey::ip_length ? 4 : v6 ? 6 : 0;
        m.length = {std::move(*ranges), negated};
        return m;
    }
    case NftKey::tcp_flags: {
        const auto flags = values.size() == 1 ? nft_tcp_flags(values[0]) : std::nullopt;
        if (!flags)
            return std::nullopt;
        m.protocol = {{{IPPROTO_TCP, IPPROTO_TCP}}};
        m.tcp_flags = {0xff, *flags, negated};
        return m;
    }
    }
    return std::nullopt;
}

std::optional<Match> nft_both(Match a, const Match &b)
{
    if (a.family && b.family && a.family != b.family)
        return std::nullopt;
    a.family = a.family ? a.family : b.family;
    auto join = [](auto &mine, const auto &other) {
        if (mine.asked() && other.asked())
            return mine == other;
        if (other.asked())
            mine = other;
        return true;
    };
    const bool joined = join(a.src, b.src) && join(a.dst, b.dst) && join(a.protocol, b.protocol) &&
                        join(a.sport, b.sport) && join(a.dport, b.dport) && join(a.icmp, b.icmp) &&
                        join(a.tcp_flags, b.tcp_flags) && join(a.in, b.in) &&
                        join(a.dscp, b.dscp) && join(a.length, b.length);
    return joined ? std::optional(std::move(a)) : std::nullopt;
}

} // namespace evnf::efw::offload
