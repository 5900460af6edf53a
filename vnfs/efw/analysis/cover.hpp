// SPDX-License-Identifier: GPL-2.0-or-later
// Whether boxes together hold all of another one; if not, some of what they leave.
//
// Exact, by search: what is left of the box after those that miss it in one field only is
// again a box, so these cost no branch. Few boxes are then taken off one after another;
// of many, one field is split into the stretches in which the same boxes are there. In
// the worst case this takes time exponential in the number of fields (the problem is
// NP-hard), so steps are counted and may run out.
#pragma once

#include <cstdint>
#include <vector>

#include "vnfs/efw/analysis/index.hpp"

namespace evnf::efw::analysis
{

enum class Covered { yes, no, undecided };

struct Cover {
    Covered covered = Covered::undecided;
    Box left;                         // if not covered: none of the boxes meets it
    std::vector<const Item *> needed; // if covered: these do it, more than needed perhaps
};

// Steps that a search may take; one is about a look at one box.
struct Budget {
    std::uint64_t left;
    [[nodiscard]] bool take(std::uint64_t steps)
    {
        left -= steps < left ? steps : left;
        return left > 0;
    }
};

// `items` are of the world; none of them needs to meet the box.
Cover cover(const World &world, const Box &box, std::vector<const Item *> items, Budget &budget);

} // namespace evnf::efw::analysis
