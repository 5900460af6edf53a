// SPDX-License-Identifier: GPL-2.0-or-later
// What many samples of one thing come to.
#pragma once

#include <cstddef>
#include <vector>

namespace evnf::bench
{

struct Figures {
    double min = 0, p10 = 0, median = 0, p90 = 0, max = 0;
    std::size_t samples = 0;
};

// Of up to ten samples p10 and p90 are the least and the most.
Figures figures_of(std::vector<double> samples);
// Each less the floor's. Where that would put a figure beyond its neighbour it is the neighbour.
Figures net_of(const Figures &gross, const Figures &floor);

} // namespace evnf::bench
