// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/elb/monitor/weigh.hpp"

#include <algorithm>
#include <cmath>

namespace evnf::elb
{

Weighed weigh(const std::vector<Standing> &backends, double panic_percent)
{
    double primaries = 0, primaries_up = 0, backups_up = 0;
    for (const auto &b : backends) {
        if (b.drains)
            continue;
        const double up = b.health == Health::down ? 0 : b.weight;
        (b.backup ? backups_up : primaries_up) += up;
        primaries += b.backup ? 0 : b.weight;
    }
    Weighed out;
    out.on_backups = primaries_up == 0 && backups_up > 0;
    out.panics = !out.on_backups && primaries_up * 100 < panic_percent * primaries;
    for (const auto &b : backends) {
        const bool healthy = out.panics || b.health != Health::down;
        const bool takes_part = b.weight > 0 && !b.drains && healthy && b.backup == out.on_backups;
        const double exact = b.weight * weight_scale * b.ramp * b.feedback;
        out.effective.push_back(takes_part ? std::max(1U, static_cast<unsigned>(std::lround(exact)))
                                           : 0);
    }
    return out;
}

} // namespace evnf::elb
