// SPDX-License-Identifier: GPL-2.0-or-later
#include "support/three_way.hpp"

using namespace evnf;
using namespace evnf::test;

namespace
{

constexpr int rulesets = 80, frames_each = 300;
constexpr std::size_t most_rules = 30;

} // namespace

TEST_CASE("efw, netfilter and the model meet the same rules")
{
    model::Random random(11);
    ThreeWay three(random);
    for (int round = 0; round < rulesets; ++round) {
        efw::Trial trial{{}, {three.world().interfaces, model::any_sets(random)}, EFW_SLOW, {}};
        trial.rules = model::any_rules(random, most_rules, trial.world.sets);
        three.compare(trial, frames_each, "round " + std::to_string(round));
    }
    CHECK(three.compared() > rulesets * frames_each / 3); // not all frames were left out
    CHECK(three.by_rule() > three.compared() / 4);        // nor did the default decide all
}
