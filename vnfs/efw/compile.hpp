// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "vnfs/efw/rule.hpp"

namespace evnf::efw
{

// A rule and the counter it counts in, see abi.h.
struct NumberedRule {
    Rule rule;
    std::uint16_t counter;
};

// The counter of packets that no rule matches.
constexpr std::uint16_t default_counter = 0;

// The tables of abi.h; of equal priority, the rule that comes first in `rules` does so
// in them too. There are at most EFW_MAX_RULES: a section that was checked has no more.
std::unique_ptr<efw_tables> compile(const std::vector<NumberedRule> &rules, efw_action otherwise);

} // namespace evnf::efw
