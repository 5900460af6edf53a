// SPDX-License-Identifier: GPL-2.0-or-later
// The real program with real rulesets, few rules and many: what each rule and each reason
// counts, against the plain model.
#include <catch2/catch.hpp>

#include "support/efw_trial.hpp"
#include "support/interfaces.hpp"

using namespace evnf;
using namespace evnf::efw;
using test::must;

namespace
{

constexpr efw_action defaults[] = {EFW_ACCEPT, EFW_DROP, EFW_SLOW};

Trial any_trial(model::Random &random, std::size_t rules, std::size_t packets)
{
    Trial t;
    t.world = {test::test_interfaces(), model::any_sets(random)};
    t.rules = model::any_rules(random, rules, t.world.sets);
    t.otherwise = model::one_of(random, defaults);
    t.packets = model::any_stream(random, t.rules, t.world, packets);
    return t;
}

} // namespace

TEST_CASE("each of a few rules decides and counts as it says")
{
    model::Random random(5);
    Tester tester;
    for (int round = 0; round < 400; ++round)
        tester.check(any_trial(random, round % 20 ? 12 : 300, 500),
                     "round " + std::to_string(round));
    CHECK(tester.by_rule() > tester.checked() / 2);
    CHECK(tester.reasons().size() == 9); // every reason but no_tables and too_many_steps
}

TEST_CASE("what packets leave for is carried out, and nothing is counted elsewhere")
{
    model::Random random(6);
    for (int round = 0; round < 10; ++round) {
        const Trial t = any_trial(random, 12, 20);
        const json section = section_of(t);
        test::EfwBench bench(section);
        fill_sets(t, section, bench.sets());
        __u64 counts = 0;
        for (const auto &p : t.packets) {
            Trial one = t;
            one.packets = {p};
            const Counts expected = expected_counts(one);
            bench.check_packet(expected.reasons.begin()->first, p);
            counts += expected.otherwise.packets;
            for (const auto &rule : expected.rules)
                counts += rule.packets;
        }
        CHECK(bench.counted() == counts);
        CHECK(bench.packets() == t.packets.size());
    }
}

TEST_CASE("many rules decide and count as they say")
{
    model::Random random(7);
    Tester tester;
    for (const auto shape : {model::Shape::acl, model::Shape::fw, model::Shape::ipc})
        for (const int family : {4, 6, 0})
            for (const std::size_t n : {10U, 1000U, 10000U}) {
                Trial t;
                t.rules = model::shaped_rules(random, shape, family, n);
                t.world.interfaces = test::test_interfaces();
                t.packets = model::any_stream(random, t.rules, t.world, 2000);
                tester.check(t, std::to_string(n) + " rules of family " + std::to_string(family));
            }
    CHECK(tester.by_rule() > tester.checked() / 2);
}

TEST_CASE("the most rules decide and count as they say")
{
    model::Random random(8);
    Tester tester;
    Trial t;
    t.rules = model::shaped_rules(random, model::Shape::acl, 0, 50000);
    t.world.interfaces = test::test_interfaces();
    t.packets = model::any_stream(random, t.rules, t.world, 2000);
    CHECK(t.rules.size() == 50000);
    tester.check(t, "50,000 rules");
    CHECK(tester.by_rule() > tester.checked() / 2);
}

TEST_CASE("a rule is found at the edges of every word of the search")
{
    Tester tester;
    for (const unsigned n : {0U, 1U, 2U, 15U, 16U, 17U, 63U, 64U, 65U, 511U, 512U, 513U, 4096U}) {
        Trial t;
        t.otherwise = EFW_ACCEPT;
        t.world.interfaces = test::test_interfaces();
        for (unsigned i = 0; i < n; ++i) {
            const std::string net =
                "10." + std::to_string(i / 128) + "." + std::to_string(i % 128 * 2);
            t.rules.push_back(must(parse_rule("ip saddr " + net + ".4/30 drop")));
            for (const auto *last : {".3", ".4", ".7", ".8"}) { // both sides of both ends
                pkt p{};
                p.len = 60 + i;
                p.ifindex = t.world.interfaces.begin()->first;
                p.l4 = PKT_L4_OTHER;
                p.flow.family = 4;
                p.flow.saddr = p.flow.daddr = must(Address::parse(net + last)).raw();
                t.packets.push_back(p);
            }
        }
        for (const auto *edge :
             {"0.0.0.0", "255.255.255.255", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}) {
            pkt p{};
            p.len = 60;
            p.ifindex = t.world.interfaces.begin()->first;
            p.l4 = PKT_L4_OTHER;
            p.flow.saddr = p.flow.daddr = must(Address::parse(edge)).raw();
            p.flow.family = static_cast<__u8>(Address(p.flow.saddr).family());
            t.packets.push_back(p);
        }
        tester.check(t, std::to_string(n) + " rules");
    }
}

TEST_CASE("rules that only count are followed to the end, or to the most that there may be")
{
    Tester tester;
    for (const unsigned n : {1U, 5U, EFW_MAX_STEPS - 1U, EFW_MAX_STEPS + 0U, EFW_MAX_STEPS + 1U}) {
        Trial t;
        t.world.interfaces = test::test_interfaces();
        for (unsigned i = 0; i < n; ++i)
            t.rules.push_back(
                must(parse_rule("tcp sport 0-" + std::to_string(100 + i) + " count")));
        t.rules.push_back(must(parse_rule("tcp drop")));
        model::Random random(9);
        t.packets = model::any_stream(random, t.rules, t.world, 200);
        tester.check(t, std::to_string(n) + " counting rules");
    }
}
