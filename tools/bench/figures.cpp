// SPDX-License-Identifier: GPL-2.0-or-later
#include "bench/figures.hpp"

#include <algorithm>

namespace evnf::bench
{

Figures figures_of(std::vector<double> samples)
{
    if (samples.empty())
        return {};
    std::sort(samples.begin(), samples.end());
    const std::size_t last = samples.size() - 1;
    const double median = (samples[last / 2] + samples[(last + 1) / 2]) / 2;
    return {samples.front(), samples[last * 10 / 100],
            median,          samples[(last * 90 + 99) / 100],
            samples.back(),  samples.size()};
}

Figures net_of(const Figures &gross, const Figures &floor)
{
    Figures out = gross;
    out.median -= floor.median;
    out.p10 = std::min(gross.p10 - floor.p10, out.median);
    out.min = std::min(gross.min - floor.min, out.p10);
    out.p90 = std::max(gross.p90 - floor.p90, out.median);
    out.max = std::max(gross.max - floor.max, out.p90);
    return out;
}

} // namespace evnf::bench
