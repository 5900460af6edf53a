// SPDX-License-Identifier: GPL-2.0-or-later
// Weights from load: the formula against numbers worked out by hand, and what must hold always.
#include <catch2/catch.hpp>
#include <cmath>
#include <random>

#include "vnfs/elb/feedback/formula.hpp"

using namespace evnf;
using namespace evnf::elb;

namespace
{

FeedbackSettings settings(const json &table = json::object())
{
    const auto s = feedback_of({table}, "");
    REQUIRE(s);
    return *s;
}

std::string refusal(const json &table)
{
    const auto checked = check_feedback(table, "/feedback");
    if (!checked)
        return checked.error().where + ": " + checked.error().what;
    const auto whole = feedback_of({table}, "/feedback");
    return whole ? "accepted" : whole.error().where + ": " + whole.error().what;
}

json indices(const std::vector<json> &all)
{
    return {{"indices", all}};
}

const Time start = Time() + std::chrono::hours(1000);

Time at(double seconds)
{
    return start + std::chrono::duration_cast<Time::duration>(Seconds(seconds));
}

} // namespace

TEST_CASE("the load of an index")
{
    const auto s = settings(indices({{{"preset", "cpu"}},
                                     {{"preset", "load"}, {"range", {0, 400}}},
                                     {{"preset", "memory"}},
                                     {{"tcp", 9707}},
                                     {{"oid", ".1.3.6.1.4.1.99.1.0"}, {"range", {-10, 10}}}}));
    CHECK(s.indices[0].load(100) == 0); // idle
    CHECK(s.indices[0].load(25) == 0.75);
    CHECK(s.indices[1].load(100) == 0.25); // laLoadInt: load 1.00 of 4 processors
    CHECK(s.indices[1].load(900) == 1);
    CHECK(s.indices[2].load(0.3) == Approx(0.3));
    CHECK(s.indices[3].load(75) == 0.25); // it can bear 75 % of its weight
    CHECK(s.indices[4].load(0) == 0.5);
    CHECK(s.indices[4].load(-11) == 0);
    CHECK(s.indices[4].oids == std::vector<std::string>{"1.3.6.1.4.1.99.1.0"});
}

TEST_CASE("the aggregate is the weighted sum, whatever the weights sum up to")
{
    const auto s = settings(
        indices({{{"preset", "cpu"}, {"weight", 3}}, {{"preset", "memory"}, {"weight", 1}}}));
    CHECK(aggregate(s.indices, std::vector{1.0, 0.0}) == 0.75);
    CHECK(aggregate(s.indices, std::vector{0.5, 0.9}) == Approx(0.6));
    CHECK(aggregate(s.indices, std::vector{1.0, 1.0}) == 1);
}

TEST_CASE("the new weight, against numbers worked out by hand")
{
    // cbrt(0.125) = 0.5, cbrt(0.729) = 0.9, cbrt(-0.027) = -0.3
    const auto s = settings({{"gain", 0.2}, {"bounds", {0.5, 3}}, {"threshold", 0}});
    CHECK(next_weight(1, 0.825, 0.95, s) == Approx(1.1));
    CHECK(next_weight(2, 0.221, 0.95, s) == Approx(2.18));
    CHECK(next_weight(1, 0.977, 0.95, s) == Approx(0.94));
    CHECK(next_weight(1.5, 0.95, 0.95, s) == 1.5); // stands still
    CHECK(next_weight(2.9, 0.221, 0.95, s) == 3);  // bounded
    CHECK(next_weight(0.51, 0.977, 0.95, s) == 0.5);
}

TEST_CASE("a step that is no greater than the threshold is not taken")
{
    const auto s = settings({{"gain", 0.2}, {"bounds", {0.5, 3}}, {"threshold", 0.1}});
    CHECK(next_weight(1, 0.83, 0.95, s) == 1); // less than 0.1
    CHECK(next_weight(1, 0.80, 0.95, s) > 1.1);
    CHECK(next_weight(9, 0.95, 0.95, s) == 3); // bounds count always: they may be new
}

TEST_CASE("for all loads and settings: bounded, never zero, monotone, in the right direction")
{
    std::mt19937 random(7);
    auto real = [&](double low, double high) {
        return std::uniform_real_distribution<double>(low, high)(random);
    };
    for (int i = 0; i < 20000; ++i) {
        const auto s = settings({{"gain", real(0.001, 10)},
                                 {"bounds", {real(0.01, 1), real(1.001, 100)}},
                                 {"threshold", real(0, 1)}});
        const double w = real(s.least, s.most), target = real(0.05, 1);
        const double a = real(0, 1), b = real(0, 1);
        const double low = next_weight(w, std::max(a, b), target, s);
        const double high = next_weight(w, std::min(a, b), target, s);
        REQUIRE(low <= high);
        REQUIRE(low >= s.least);
        REQUIRE(high <= s.most);
        REQUIRE(low > 0);
        const double next = next_weight(w, a, target, s);
        REQUIRE((next - w) * (target - a) >= 0);
        const double step = std::abs(next - w);
        REQUIRE((step == 0 || step > s.threshold));
        REQUIRE(step <= s.gain * std::cbrt(1.0) + 1e-9);
    }
}

TEST_CASE("a backend's weight follows its smoothed load, and is static when that is too old")
{
    json table = indices({{{"preset", "cpu"}}});
    table.update({{"smoothing", 0.5}, {"threshold", 0}, {"gain", 0.1}, {"hold", 30}});
    const auto s = settings(table);
    FeedbackState state;
    CHECK(state.in_force(s, at(0)) == 1);
    state.learn({95}, s, at(0)); // 5 % busy: 0.95 - 0.05 = 0.9
    CHECK(*state.load == Approx(0.05));
    state.step(0.95, s);
    CHECK(state.before == 1);
    CHECK(state.in_force(s, at(0)) == Approx(1 + 0.1 * std::cbrt(0.9)));
    state.learn({35}, s, at(5)); // 0.65, smoothed with 0.05
    CHECK(*state.load == Approx(0.35));
    const double last = state.weight;
    state.fail("no answer");
    CHECK(state.in_force(s, at(35)) == last); // held
    CHECK(state.error == "no answer");
    CHECK(state.in_force(s, at(35.1)) == 1);
    CHECK_FALSE(state.load);
    state.learn({0}, s, at(60)); // afresh, without the old load
    CHECK(*state.load == 1);
    CHECK(state.error.empty());
}

TEST_CASE("what is wrong in a feedback table is refused at its place")
{
    CHECK(refusal(7) == "/feedback: feedback is a table");
    CHECK(refusal({{"intervall", 5}}) ==
          "/feedback/intervall: 'intervall' is not a key of feedback");
    CHECK(refusal({{"interval", 0}}) ==
          "/feedback/interval: interval is a number from 0.5 to 3600, in seconds");
    CHECK(refusal({{"target", "median"}}) ==
          "/feedback/target: target is a number from 0.05 to 1, or \"mean\"");
    CHECK(refusal({{"target", "mean"}}) == "accepted");
    CHECK(refusal({{"bounds", {0, 10}}}).starts_with("/feedback/bounds: bounds are multiples"));
    CHECK(refusal({{"bounds", {1, 1}}}).starts_with("/feedback/bounds: bounds is two different"));
    CHECK(refusal({{"interval", 60}}).starts_with("/feedback/hold: hold is less than twice"));
    CHECK(refusal({{"indices", 1}}).starts_with("/feedback/indices: "));
    CHECK(refusal(indices({{{"preset", "gpu"}}})) ==
          "/feedback/indices/0/preset: 'gpu' is not a preset: cpu, load, memory or processors");
    CHECK(refusal(indices({{{"weight", 1}}})) ==
          "/feedback/indices/0: an index has one of preset, oid, http and tcp");
    CHECK(refusal(indices({{{"preset", "cpu"}, {"tcp", 1}}})).starts_with("/feedback/indices/0: "));
    CHECK(refusal(indices({{{"preset", "cpu"}, {"field", "/x"}}})) ==
          "/feedback/indices/0/field: 'field' is not a key of an index of this kind");
    CHECK(refusal(indices({{{"preset", "cpu"}}, {{"oid", "1.3.x"}, {"range", {0, 1}}}}))
              .starts_with("/feedback/indices/1/oid: '1.3.x' is not an OID"));
    CHECK(refusal(indices({{{"oid", "1.3.6"}}})).starts_with("/feedback/indices/0: an oid needs"));
    CHECK(refusal(indices({{{"http", "load"}}})).starts_with("/feedback/indices/0/http: "));
    CHECK(refusal(indices({{{"tcp", 0}}})).starts_with("/feedback/indices/0/tcp: "));
    CHECK(refusal({{"snmp", {{"community", "secret"}}}})
              .starts_with("/feedback/snmp/community: secrets do not stand here"));
    CHECK(refusal({{"snmp", {{"version", "1"}}}}) ==
          "/feedback/snmp/version: '1' is not a version: 2c or 3");
    json v3 = indices({{{"preset", "cpu"}}});
    v3["snmp"] = {{"version", "3"}, {"user", "evnf"}};
    CHECK(refusal(v3) == "/feedback: SNMP version 3 needs a user, an auth_file and a priv_file");
}

TEST_CASE("the most special table counts")
{
    const auto s = feedback_of({{{"gain", 1}, {"hold", 17}, {"snmp", {{"port", 1161}}}},
                                {{"gain", 2}, {"snmp", {{"community_file", "/c"}}}},
                                json()},
                               "");
    CHECK(s->gain == 2);
    CHECK(s->hold == 17);
    CHECK(s->snmp.port == 1161);
    CHECK(s->snmp.community_file == "/c");
}
