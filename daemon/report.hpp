// SPDX-License-Identifier: GPL-2.0-or-later
// Names for what the fast path counts and tells.
#pragma once

#include <string>
#include <vector>

#include "daemon/generation.hpp"

namespace evnf
{

// "next", "drop", "slow" or "done".
std::string verdict_name(unsigned reason);
// The reasons of a place's own, besides the common ones.
const std::vector<Reason> &reasons_of(const Plan &plan, const Place &place);
// A reason at a place that has `own` ones.
Reason find_reason(unsigned value, const std::vector<Reason> &own);

} // namespace evnf
