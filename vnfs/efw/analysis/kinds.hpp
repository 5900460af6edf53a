// SPDX-License-Identifier: GPL-2.0-or-later
// The kinds of packets. All of one kind have the same fields, and any value of each with
// any values of the others.
#pragma once

#include <array>

#include "match/field.hpp"
#include "vnfs/efw/packet.hpp"

namespace evnf::efw::analysis
{

struct Kind {
    int family;
    Transport transport;
    match::Ranges<std::uint8_t> protocols; // all where the protocol is unread
    match::Ranges<std::uint8_t> fragments; // enum pkt_frag
    match::Range<std::uint16_t> lengths;
};
constexpr std::size_t worlds = 18;
const std::array<Kind, worlds> &all_kinds();

} // namespace evnf::efw::analysis
