// SPDX-License-Identifier: GPL-2.0-or-later
// The elements of named sets, as the fast path in force has them.
#pragma once

#include <vector>

#include "abi/pkt.h"
#include "match/match.hpp"
#include "vnfs/efw/section.hpp"

namespace evnf::efw
{

// The maps, borrowed.
struct LiveSets {
    int elements = -1; // match_sets
    int lengths = -1;  // match_set_lengths
};

// Of the sets that rules use, by what they use it, those in which the packet is.
std::vector<match::SetUse> sets_with(const pkt &packet, const std::vector<SectionRule> &rules,
                                     const json &section, const LiveSets &sets);

} // namespace evnf::efw
