// SPDX-License-Identifier: GPL-2.0-or-later
// The weights that count for new connections, of all that is known of a service's backends.
#pragma once

#include <vector>

#include "vnfs/elb/health/state.hpp"

namespace evnf::elb
{

// Effective weights are integers in units of a static weight's 1000th.
constexpr unsigned weight_scale = 1000;

struct Standing {
    unsigned weight = 1; // static
    bool backup = false;
    bool drains = false; // the operator's word
    Health health = Health::checking;
    double ramp = 1;     // of a slow start
    double feedback = 1; // multiple of the static weight
};

struct Weighed {
    std::vector<unsigned> effective; // 0: no new connections
    bool panics = false;             // health is not looked at
    bool on_backups = false;
};

// Whose static weight is 0, and who drains, takes no part. Else, in this order:
//  - of the primaries those that are not down, if more of their weight than the panic
//    threshold is up; if less is, but some, all primaries;
//  - if no primary is up, the backups that are not down;
//  - if none of those is either, all primaries if there is a panic threshold; else nobody.
// Who takes part has at least 1, whatever its load.
Weighed weigh(const std::vector<Standing> &backends, double panic_percent);

} // namespace evnf::elb
