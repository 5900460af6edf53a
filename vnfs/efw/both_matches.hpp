// SPDX-License-Identifier: GPL-2.0-or-later
// Packets that two matches both mean, as a match.
#pragma once

#include <optional>

#include "match/match.hpp"

namespace evnf::efw
{

struct Both {
    bool none = false; // no packet is meant by both
    match::Match match;
};

// Nothing if one match cannot say it.
std::optional<Both> both(const match::Match &a, const match::Match &b);

} // namespace evnf::efw
