// SPDX-License-Identifier: GPL-2.0-or-later
// The names that nft has for values of a packet's fields.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace evnf::match
{

// A value that has several names is written by the first of them.
struct Name {
    std::string_view name;
    std::uint8_t value;
};
using NameTable = std::span<const Name>;

// The types of ICMP or ICMPv6 messages.
NameTable icmp_types(std::uint8_t protocol);
NameTable dscp_names();
NameTable fragment_names(); // of enum pkt_frag
NameTable tcp_flag_names(); // the bits, from the lowest on

std::optional<std::uint8_t> value_named(NameTable names, std::string_view name);
// Empty if the value has no name.
std::string_view name_of(NameTable names, unsigned value);

} // namespace evnf::match
