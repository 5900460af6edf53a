// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <vector>

#include "base/net.hpp"
#include "vnfs/elb/abi.h"

namespace evnf::elb
{

struct Weighted {
    Endpoint endpoint;
    unsigned weight = 1;
};

// Who has each of the slots: indexes into `backends`, or nothing if no weight is above zero.
// There are ELB_SLOTS, or of more than ELB_FEW_BACKENDS ELB_MANY_SLOTS, else shares would be
// coarse. Each has exactly its share of the slots (rounded by largest remainder), and with a
// weight at least one.
// The table depends on the set of backends and weights alone, not on their order or on
// what was before, and a change of one moves little more than its share: a weighted form
// of Maglev's table (Eisenbud et al., NSDI 2016, section 3.4).
std::vector<std::uint16_t> fill_slots(const std::vector<Weighted> &backends);

} // namespace evnf::elb
