// SPDX-License-Identifier: GPL-2.0-or-later
// efw's packets that are measured: by rules, by flows, by what decides them.
#pragma once

#include <string>
#include <vector>

#include "bench/meter.hpp"
#include "bench/ruleset.hpp"

namespace evnf::bench
{

struct RulesOptions {
    std::vector<std::size_t> sizes{10, 100, 1'000, 10'000, 50'000};
    std::vector<unsigned> flows{1, 60'000, 1'000'000};
    std::vector<int> families{4, 6};
    unsigned seconds = 60;
};

struct RulesCase {
    std::string id;    // "empty", "xdp_filter_hit", "xdp_filter_miss", "efw"
    std::string text;  // for people
    std::size_t rules; // 0: it has none
    Traffic traffic;
    Figures gross{};
};

// All of one kind of rules in turn.
Result<std::vector<RulesCase>> measure_rules(Shape shape, int family, const RulesOptions &options);

} // namespace evnf::bench
