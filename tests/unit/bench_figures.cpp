// SPDX-License-Identifier: GPL-2.0-or-later
// What samples come to, as reports want it: in order, whatever the samples are.
#include "tools/bench/figures.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <random>

using namespace evnf::bench;

namespace
{

bool in_order(const Figures &f)
{
    const double all[] = {f.min, f.p10, f.median, f.p90, f.max};
    return std::is_sorted(std::begin(all), std::end(all));
}

std::vector<double> random_samples(std::mt19937 &random, std::size_t n)
{
    std::uniform_real_distribution<double> any(1, 100);
    std::vector<double> out(n);
    std::generate(out.begin(), out.end(), [&] { return any(random); });
    return out;
}

} // namespace

TEST_CASE("a tenth of the samples is below p10, and a tenth above p90")
{
    std::mt19937 random(1);
    for (std::size_t n = 1; n < 200; ++n) {
        auto samples = random_samples(random, n);
        const Figures f = figures_of(samples);
        CHECK(in_order(f));
        CHECK(f.samples == n);
        CHECK(f.min == *std::min_element(samples.begin(), samples.end()));
        CHECK(f.max == *std::max_element(samples.begin(), samples.end()));
        const auto below = [&](double limit) {
            return std::count_if(samples.begin(), samples.end(),
                                 [&](double s) { return s < limit; });
        };
        const auto above = [&](double limit) {
            return std::count_if(samples.begin(), samples.end(),
                                 [&](double s) { return s > limit; });
        };
        CHECK(below(f.p10) * 10 <= static_cast<std::ptrdiff_t>(n));
        CHECK(above(f.p90) * 10 <= static_cast<std::ptrdiff_t>(n));
        CHECK(below(f.median) == above(f.median));
    }
    CHECK(figures_of({4, 1, 3, 2}).median == 2.5);
    CHECK(figures_of({9, 0, 1, 2, 3, 4, 5, 6, 7, 8}).p10 == 0);
    CHECK(figures_of({9, 0, 1, 2, 3, 4, 5, 6, 7, 8}).p90 == 9);
}

TEST_CASE("what is net is in order, and less the floor's median")
{
    std::mt19937 random(2);
    for (int i = 0; i < 1000; ++i) {
        // Floors that spread more than what is measured would turn the order around.
        const Figures gross = figures_of(random_samples(random, 1 + random() % 20));
        const Figures floor = figures_of(random_samples(random, 1 + random() % 20));
        const Figures net = net_of(gross, floor);
        CHECK(in_order(net));
        CHECK(net.median == gross.median - floor.median);
        CHECK(net.min <= gross.min - floor.min);
        CHECK(net.samples == gross.samples);
    }
}
