// SPDX-License-Identifier: GPL-2.0-or-later
// The real program against the plain model, with other rules and packets until the time is
// over: EVNF_SECONDS and EVNF_SEED say how long, and from which seed on.
#include <catch2/catch.hpp>

#include <chrono>
#include <cstdio>

#include "support/efw_trial.hpp"
#include "support/environment.hpp"
#include "support/interfaces.hpp"

using namespace evnf;
using namespace evnf::efw;
using test::environment;

namespace
{

std::vector<Rule> rules_of(model::Random &random, const model::Sets &sets)
{
    const unsigned kind = model::below(random, 100);
    if (kind < 85)
        return model::any_rules(random, 20, sets);
    if (kind < 95)
        return model::any_rules(random, 300, sets);
    const auto shape = static_cast<model::Shape>(model::below(random, 3));
    static constexpr int families[] = {4, 6, 0};
    return model::shaped_rules(random, shape, model::one_of(random, families),
                               kind < 99 ? 1000 : 10000);
}

} // namespace

TEST_CASE("the fast path and the model agree")
{
    using Clock = std::chrono::steady_clock;
    const auto seconds = environment("EVNF_SECONDS", 60);
    const unsigned long first = environment("EVNF_SEED", 1);
    static constexpr efw_action defaults[] = {EFW_ACCEPT, EFW_DROP, EFW_SLOW};

    Tester tester;
    std::vector<pkt> old;
    const auto begin = Clock::now();
    auto told = begin;
    unsigned long seed = first;
    for (; Clock::now() < begin + std::chrono::seconds(seconds); ++seed) {
        model::Random random(seed);
        Trial t;
        t.world = {test::test_interfaces(), model::any_sets(random)};
        t.rules = rules_of(random, t.world.sets);
        t.otherwise = model::one_of(random, defaults);
        // Packets that the rules before have met come first: their answers are no more true.
        t.packets = old;
        const auto stream = model::any_stream(random, t.rules, t.world, 8000);
        t.packets.insert(t.packets.end(), stream.begin(), stream.end());
        tester.check(t, "seed " + std::to_string(seed));
        old.assign(stream.begin(), stream.begin() + 200);
        if (Clock::now() > told + std::chrono::seconds(10)) {
            told = Clock::now();
            std::fprintf(stderr, "%llu checks agreed, next seed %lu\n", tester.checked(), seed + 1);
        }
    }
    std::fprintf(stderr, "%llu packets met a ruleset as the model says, seeds %lu to %lu\n",
                 tester.checked(), first, seed - 1);
    CHECK(tester.by_rule() > tester.checked() / 2);
}
