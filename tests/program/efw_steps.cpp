// SPDX-License-Identifier: GPL-2.0-or-later
// Rules that come and go one by one, by the verbs and as the daemon carries them out: after
// each, packets meet what the model says, and every counter has what it had and no more.
#include <catch2/catch.hpp>

#include <set>

#include "support/efw_trial.hpp"
#include "support/interfaces.hpp"

using namespace evnf;
using namespace evnf::efw;
using test::must;

namespace
{

// Rules without their counters, which a verb may give as it likes.
json uncounted(json section)
{
    for (auto &r : section["rules"])
        r.erase("counter");
    return section;
}

class Verbs
{
public:
    Verbs(json section, FastPath &fast_path)
        : section_(std::move(section)),
          fast_path_(fast_path),
          stepper_(efw().stepper(section_))
    {
    }

    void add(const Rule &rule) { carry_out("POST", {{}, {{"rule", text_of(rule)}}}); }
    void remove(std::size_t place)
    {
        carry_out("DELETE", {{section_["rules"][place]["id"].dump()}, nullptr});
    }

    [[nodiscard]] const json &section() const { return section_; }
    unsigned steps = 0, wholes = 0;

private:
    static const VnfType &efw() { return *find_vnf("efw"); }

    void carry_out(const char *method, const Request &request)
    {
        const auto &routes = efw().routes;
        const auto route = std::find_if(routes.begin(), routes.end(),
                                        [&](const Route &r) { return r.method == method; });
        const auto step = route->step(*stepper_, section_, request);
        const Edit edit = must(route->edit(section_, request));
        json next = must(efw().check(edit.section, section_));
        if (!step) {
            ++wholes;
            must(fast_path_.apply(next));
            section_ = std::move(next);
            stepper_ = efw().stepper(section_);
            return;
        }
        ++steps;
        must(fast_path_.step(step->patch));
        const json before = section_;
        stepper_->taken(section_, step->patch);
        section_.patch_inplace(step->patch);
        REQUIRE(uncounted(section_) == uncounted(next));
        REQUIRE(step->reply == edit.reply);
        REQUIRE(step->lines == efw().diff(before, section_));
        std::set<unsigned> counters{0};
        for (const auto &r : section_["rules"])
            REQUIRE(counters.insert(r["counter"].get<unsigned>()).second);
    }

    json section_;
    FastPath &fast_path_;
    std::unique_ptr<Stepper> stepper_;
};

// What each rule must have counted since it was added, by its id.
using Totals = std::map<unsigned, counter>;

void check_totals(const Totals &totals, const FastPath &fast_path, const json &section)
{
    const json shown = fast_path.show(section);
    for (const auto &r : shown["rules"]) {
        const auto it = totals.find(r["id"]);
        const counter expected = it == totals.end() ? counter{} : it->second;
        INFO(r.dump());
        REQUIRE(r["packets"] == expected.packets);
        REQUIRE(r["bytes"] == expected.bytes);
    }
}

} // namespace

TEST_CASE("rules that come and go one by one decide as the model says")
{
    model::Random random(31);
    unsigned steps = 0, wholes = 0, most_added = 0, most_removed = 0, anew = 0;
    for (int round = 0; round < 8; ++round) {
        Trial t;
        t.world = {test::test_interfaces(), model::any_sets(random)};
        t.otherwise = round % 2 ? EFW_ACCEPT : EFW_SLOW;
        t.rules = round % 7 == 0 ? model::shaped_rules(random, model::Shape::acl, 4, 1000)
                                 : model::any_rules(random, round % 2 ? 24 : 500, t.world.sets);
        Tester tester;
        tester.check(t, "before");
        FastPath &fast_path = tester.bench().fast_path();
        Verbs verbs(tester.section(), fast_path);
        Totals totals;
        std::set<std::string> texts;
        for (const auto &r : t.rules)
            texts.insert(text_of(r));
        const auto add = [&] {
            Rule rule = model::any_rule(random, t.world.sets);
            if (!texts.insert(text_of(rule)).second)
                return;
            verbs.add(rule);
            t.rules.push_back(std::move(rule));
        };
        const auto remove = [&] {
            const std::size_t place = model::below(random, static_cast<unsigned>(t.rules.size()));
            totals.erase(verbs.section()["rules"][place]["id"].get<unsigned>());
            verbs.remove(place);
            texts.erase(text_of(t.rules[place]));
            t.rules.erase(t.rules.begin() + static_cast<std::ptrdiff_t>(place));
        };
        unsigned added = 0;                      // beside the ruleset that was compiled last
        const int adds = round % 3 == 0 ? 9 : 5; // of ten changes
        for (int change = 0; change < (round % 6 ? 90 : 240); ++change) {
            if (t.rules.size() < 2 || static_cast<int>(model::below(random, 10)) < adds)
                add();
            else
                remove();
            if (round % 2 && change == 80)
                fast_path.tick();
            if (change % 6)
                continue;
            const json memory = fast_path.show(verbs.section())["memory"];
            const auto now_added = memory["added"].get<unsigned>();
            anew += now_added + 50 < added;
            added = now_added;
            most_added = std::max(most_added, added);
            most_removed = std::max(most_removed, memory["removed"].get<unsigned>());
            // Some packets that rules before have met: their answers are no more true.
            const auto kept = t.packets.size() / 2;
            t.packets.erase(t.packets.begin(),
                            t.packets.begin() + static_cast<std::ptrdiff_t>(kept));
            const auto stream = model::any_stream(random, t.rules, t.world, 120);
            t.packets.insert(t.packets.end(), stream.begin(), stream.end());
            tester.check_in_force(t, verbs.section(),
                                  "round " + std::to_string(round) + ", change " +
                                      std::to_string(change));
            const Counts once = expected_counts(t);
            for (std::size_t i = 0; i < t.rules.size(); ++i) {
                auto &total = totals[verbs.section()["rules"][i]["id"].get<unsigned>()];
                total.packets += 2 * once.rules[i].packets;
                total.bytes += 2 * once.rules[i].bytes;
            }
            check_totals(totals, fast_path, verbs.section());
        }
        Tester().check(t, "all of it compiled anew, round " + std::to_string(round));
        steps += verbs.steps;
        wholes += verbs.wholes;
    }
    CHECK(steps > 400); // most are, and the rest is checked too
    CHECK(wholes > 0);
    CHECK(anew > 0);
    CHECK(most_added > 100);
    CHECK(most_removed > 30);
}

TEST_CASE("what is no step is an error, or another way")
{
    Trial t;
    t.world = {test::test_interfaces(), {}};
    t.rules = {must(parse_rule("tcp dport 80 accept")), must(parse_rule("udp reject"))};
    const json section = section_of(t);
    const VnfType &efw = *find_vnf("efw");
    const auto stepper = efw.stepper(section);
    const auto step = [&](const char *method, const Request &request) {
        const auto route = std::find_if(efw.routes.begin(), efw.routes.end(),
                                        [&](const Route &r) { return r.method == method; });
        return route->step(*stepper, section, request).has_value();
    };
    const auto add = [&](const json &body) { return step("POST", {{}, body}); };
    CHECK(add({{"rule", "tcp dport 81 accept"}}));
    CHECK(add({{"rule", "tcp dport 80 accept"}, {"owner", "another"}}));
    CHECK_FALSE(add({{"rule", "tcp dport 80 accept"}})); // it is there
    CHECK_FALSE(add({{"rule", "nonsense"}}));
    CHECK_FALSE(add({{"rule", "saddr @unknown drop"}}));
    CHECK_FALSE(add({{"rule", "tcp reject"}})); // workers may be needed
    CHECK_FALSE(add({{"rule", "tcp log accept"}}));
    CHECK_FALSE(add(json::array()));
    CHECK(step("DELETE", {{"1"}, nullptr}));
    CHECK_FALSE(step("DELETE", {{"2"}, nullptr})); // workers may be needed no more
    CHECK_FALSE(step("DELETE", {{"3"}, nullptr}));
    CHECK_FALSE(step("DELETE", {{"01"}, nullptr}));
    CHECK_FALSE(step("DELETE", {{"99999999999999999999"}, nullptr}));
}
