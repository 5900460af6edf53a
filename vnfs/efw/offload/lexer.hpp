// SPDX-License-Identifier: GPL-2.0-or-later
// Small texts that both readers meet: numbers, ranges, flags.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "match/field.hpp"

namespace evnf::efw::offload
{

// A whole number in decimal or, with 0x before it, hexadecimal digits.
inline std::optional<std::uint64_t> number_of(std::string_view text, std::uint64_t most)
{
    int base = 10;
    if (text.starts_with("0x") || text.starts_with("0X")) {
        text.remove_prefix(2);
        base = 16;
    }
    std::uint64_t value = 0;
    const auto *end = text.data() + text.size();
    const auto r = std::from_chars(text.data(), end, value, base);
    if (text.empty() || r.ec != std::errc() || r.ptr != end || value > most)
        return std::nullopt;
    return value;
}

inline std::vector<std::string_view> split(std::string_view text, char at)
{
    std::vector<std::string_view> out;
    for (;;) {
        const auto i = text.find(at);
        out.push_back(text.substr(0, i));
        if (i == std::string_view::npos)
            return out;
        text.remove_prefix(i + 1);
    }
}

// "7" or, with ':' between, "5:7", "5:", ":7".
template <class Value>
std::optional<match::Range<Value>> range_of_text(std::string_view text, char between = ':')
{
    constexpr auto most = match::Space<Value>::greatest;
    const auto parts = split(text, between);
    if (parts.size() > 2)
        return std::nullopt;
    const bool open = parts.size() == 2;
    const auto low = open && parts[0].empty() ? 0 : number_of(parts[0], most());
    const auto high = open && parts[1].empty() ? most() : number_of(parts.back(), most());
    if (!low || !high || *low > *high)
        return std::nullopt;
    return match::Range<Value>{static_cast<Value>(*low), static_cast<Value>(*high)};
}

template <class Value>
match::Field<Value> field_of(match::Ranges<Value> ranges, bool negated = false)
{
    return {match::normalized(std::move(ranges)), negated};
}

// A TCP flag by its name in any case; NONE is 0 and ALL what iptables means by it.
inline std::optional<std::uint8_t> tcp_flag(std::string_view name)
{
    static constexpr std::pair<std::string_view, std::uint8_t> flags[] = {
        {"fin", 1},  {"syn", 2},  {"rst", 4},   {"psh", 8},  {"ack", 16},
        {"urg", 32}, {"ecn", 64}, {"cwr", 128}, {"none", 0}, {"all", 63}};
    for (const auto &[known, bit] : flags)
        if (std::equal(name.begin(), name.end(), known.begin(), known.end(),
                       [](char a, char b) { return (a | 0x20) == b; }))
            return bit;
    return std::nullopt;
}

} // namespace evnf::efw::offload
