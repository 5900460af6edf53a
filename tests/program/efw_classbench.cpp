// SPDX-License-Identifier: GPL-2.0-or-later
// Rulesets as ClassBench's seeds are shaped, of 10 to 50,000 rules: the real program against the
// plain model, and up to 10,000 rules the kernel too. One of each kind, and then others, as long as
// EVNF_SECONDS says, from EVNF_SEED on.
#include <chrono>
#include <cstdio>

#include "support/environment.hpp"
#include "support/three_way.hpp"

using namespace evnf;
using namespace evnf::efw;
using test::environment;

namespace
{

using Clock = std::chrono::steady_clock;

constexpr model::Shape shapes[] = {model::Shape::acl, model::Shape::fw, model::Shape::ipc};
constexpr const char *names[] = {"acl", "fw", "ipc"};
constexpr int families[] = {4, 6, 0};

std::string called(model::Shape shape, std::size_t rules)
{
    return std::string(names[static_cast<int>(shape)]) + ", " + std::to_string(rules) + " rules";
}

Trial shaped(model::Random &random, model::Shape shape, std::size_t rules, std::size_t packets)
{
    Trial t;
    t.world.interfaces = test::test_interfaces();
    t.rules = model::shaped_rules(random, shape, model::one_of(random, families), rules);
    t.packets = model::any_stream(random, t.rules, t.world, packets);
    return t;
}

} // namespace

TEST_CASE("shaped rules decide as the model says")
{
    struct Kind {
        std::size_t rules, packets;
    };
    // The model needs a millisecond for a packet that has 50,000 rules to meet.
    static constexpr Kind kinds[] = {{10, 4000}, {1000, 4000}, {10000, 1000}, {50000, 1000}};
    const auto seconds = environment("EVNF_SECONDS", 0);
    const unsigned long first = environment("EVNF_SEED", 1);
    Tester tester;
    const auto begin = Clock::now();
    unsigned long seed = first;
    // The first round has each size, each with another shape.
    do {
        model::Random random(seed);
        for (std::size_t i = 0; i < std::size(kinds); ++i) {
            const auto shape = shapes[(seed + i) % std::size(shapes)];
            tester.check(shaped(random, shape, kinds[i].rules, kinds[i].packets),
                         called(shape, kinds[i].rules) + ", seed " + std::to_string(seed));
        }
        ++seed;
    } while (Clock::now() < begin + std::chrono::seconds(seconds));
    std::fprintf(stderr, "%llu packets met a shaped ruleset as the model says, seeds %lu to %lu\n",
                 tester.checked(), first, seed - 1);
    CHECK(tester.by_rule() > tester.checked() / 2);
}

TEST_CASE("shaped rules decide as netfilter does")
{
    struct Kind {
        std::size_t rules;
        int frames;
    };
    static constexpr Kind kinds[] = {{10, 300}, {1000, 1000}};
    model::Random random(environment("EVNF_SEED", 1));
    test::ThreeWay three(random);
    for (const auto shape : shapes)
        for (const auto &[rules, frames] : kinds)
            three.compare(shaped(random, shape, rules, 0), frames, called(shape, rules));
    three.compare(shaped(random, model::Shape::acl, 10000, 0), 300, "acl, 10000 rules");
    CHECK(three.compared() > 1500);
    CHECK(three.by_rule() > three.compared() / 2);
}
