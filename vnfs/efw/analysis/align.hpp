// SPDX-License-Identifier: GPL-2.0-or-later
// Which rules of two rulesets are the same.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "vnfs/efw/analysis/ruleset.hpp"

namespace evnf::efw::analysis
{

struct Side {
    // By rule, the default included: rules of both sides with one number mean the same
    // packets in the same way.
    std::vector<std::uint32_t> kind;
    // By rule: whether it has its like on the other side, in the same order as the others
    // that have.
    std::vector<bool> aligned;
    // By kind: the first rule of it here, or `absent`.
    std::vector<std::uint32_t> first;
    static constexpr std::uint32_t absent = std::numeric_limits<std::uint32_t>::max();
};

struct Alignment {
    Side a, b;
};
Alignment align(const Ruleset &a, const Boxes &boxes_a, const Ruleset &b, const Boxes &boxes_b);

} // namespace evnf::efw::analysis
