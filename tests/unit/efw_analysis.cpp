// SPDX-License-Identifier: GPL-2.0-or-later
// What lint and diff say, against a look at every packet there is.
#include <catch2/catch.hpp>

#include <algorithm>
#include <map>
#include <set>

#include "support/efw_analysis_case.hpp"
#include "support/efw_universe.hpp"
#include "vnfs/efw/analysis/diff.hpp"
#include "vnfs/efw/analysis/lint.hpp"

using namespace evnf;
using namespace evnf::efw;
using namespace evnf::efw::analysis;
using test::Case;
using test::Packets;
using universe::below;
using universe::means;

namespace
{

// All that becomes of a packet. The rules are marked.
std::string story(const Ruleset &r, const Packet &p)
{
    const auto f = universe::without_idle(r.rules, universe::fate(r.rules, r.otherwise, p));
    std::string out;
    for (const auto i : f.before)
        out += r.rules[i].comment + " ";
    return out + std::to_string(f.action);
}

// Marks each rule by what it does to which packets, so that story() can tell rules apart.
void mark(const std::vector<Ruleset *> &rulesets, const Packets &packets)
{
    std::map<std::string, std::size_t> known;
    for (auto *r : rulesets)
        for (auto &rule : r->rules) {
            std::string what = std::to_string(rule.action);
            if (rule.limit)
                what += "/" + std::to_string(rule.limit->packets) + "/";
            for (const auto &p : packets)
                what += std::to_string(static_cast<int>(universe::look(rule.match, p)));
            rule.comment = std::to_string(known.emplace(what, known.size()).first->second);
        }
}

Ruleset without(const Ruleset &r, const std::vector<bool> &removed)
{
    Ruleset out{{}, r.otherwise};
    for (std::size_t i = 0; i < r.rules.size(); ++i)
        if (!removed[i])
            out.rules.push_back(r.rules[i]);
    return out;
}

bool same(const Ruleset &a, const Ruleset &b, const Packets &packets)
{
    return std::all_of(packets.begin(), packets.end(),
                       [&](const Packet &p) { return story(a, p) == story(b, p); });
}

const Finding *find(const Lint &lint, std::uint32_t rule, std::set<Fault> faults)
{
    for (const auto &f : lint.findings)
        if (f.rule == rule && faults.contains(f.fault))
            return &f;
    return nullptr;
}

void check_witness(const Case &c, const Finding &f)
{
    if (f.fault == Fault::never || (f.fault == Fault::useless_part && f.others.empty())) {
        REQUIRE(!f.witness);
        return;
    }
    REQUIRE(f.witness);
    INFO(text_of(*f.witness));
    auto read = parse_packet(text_of(*f.witness));
    REQUIRE(read);
    REQUIRE(*read == *f.witness);
    REQUIRE(means(c.ruleset.rules[f.rule].match, *f.witness));
    const auto fate = universe::fate(c.ruleset.rules, c.ruleset.otherwise, *f.witness);
    REQUIRE(f.decider == fate.rule);
    const bool unseen =
        universe::look(c.ruleset.rules[f.rule].match, *f.witness) == universe::Seen::unseen;
    const bool decides = unseen || effect_of(c.ruleset.rules[f.rule]) == Effect::decides;
    const efw_action action = unseen ? EFW_SLOW : c.ruleset.rules[f.rule].action;
    switch (f.fault) {
    case Fault::shadowed:
        REQUIRE((fate.action != action || !decides));
        REQUIRE(fate.rule < f.rule);
        break;
    case Fault::repeated:
        REQUIRE(fate.action == action);
        REQUIRE(fate.rule < f.rule);
        break;
    case Fault::overlap:
        REQUIRE(fate.rule == f.others.front());
        REQUIRE(fate.action != action);
        REQUIRE_FALSE(unseen);
        break;
    case Fault::useless_part:
        REQUIRE(fate.rule < f.rule);
        break;
    case Fault::redundant:
        REQUIRE(fate.rule >= f.rule);
        REQUIRE((f.others.front() == c.ruleset.rules.size() ||
                 means(c.ruleset.rules[f.others.front()].match, *f.witness)));
        break;
    case Fault::never:
        break;
    }
}

void check_reach(const Case &c, const Lint &lint, std::uint32_t i)
{
    const auto reach = c.reaches[i];
    REQUIRE((find(lint, i, {Fault::never}) != nullptr) == (reach == Case::Reach::never));
    REQUIRE((find(lint, i, {Fault::repeated}) != nullptr) == (reach == Case::Reach::repeated));
    const Finding *shadowed = find(lint, i, {Fault::shadowed});
    REQUIRE((shadowed != nullptr) == (reach == Case::Reach::shadowed));
    if (!shadowed)
        shadowed = find(lint, i, {Fault::repeated});
    if (!shadowed)
        return;
    constexpr std::size_t none = ~std::size_t{0};
    REQUIRE(c.covered(i, shadowed->others, none));
    constexpr std::size_t few = 16; // of more, all are named
    for (const auto other : shadowed->others)
        REQUIRE((shadowed->others.size() > few || !c.covered(i, shadowed->others, other)));
}

// Whether an earlier rule takes some of rule i to another action, and is no exception.
void check_overlap(const Case &c, const Lint &lint, std::uint32_t i)
{
    if (c.ruleset.rules[i].action == EFW_COUNT || c.reaches[i] != Case::Reach::reached) {
        REQUIRE_FALSE(find(lint, i, {Fault::overlap}));
        return;
    }
    std::set<std::size_t> others;
    for (std::size_t p = 0; p < c.packets.size(); ++p)
        if (const auto d = c.decider(p);
            c.is_meant(i, p) && !c.unseen[p][i] && d < i && c.action(d, p) != c.action(i, p))
            others.insert(d);
    std::erase_if(others, [&](std::size_t d) { return c.within(d, i); });
    const Finding *f = find(lint, i, {Fault::overlap});
    REQUIRE((f != nullptr) == !others.empty());
    if (f)
        for (const auto other : f->others) {
            INFO("overlaps " << other);
            REQUIRE(others.contains(other));
        }
}

// Rules are taken away one by one, as lint does; what is left does the same.
void check_redundant(const Case &c, const Lint &lint)
{
    std::vector<bool> removed(c.ruleset.rules.size());
    for (std::uint32_t i = 0; i < removed.size(); ++i)
        removed[i] = c.reaches[i] != Case::Reach::reached;
    for (std::uint32_t i = 0; i < removed.size(); ++i) {
        if (removed[i] || c.ruleset.rules[i].action == EFW_COUNT)
            continue;
        auto next = removed;
        next[i] = true;
        removed[i] = same(c.ruleset, without(c.ruleset, next), c.packets);
        REQUIRE((find(lint, i, {Fault::redundant}) != nullptr) == removed[i]);
    }
    REQUIRE(same(c.ruleset, without(c.ruleset, removed), c.packets));
}

template <class Value>
void check_parts(const Case &c, const Lint &lint, std::uint32_t i,
                 match::Field<Value> match::Match::*field, const std::string &name, bool of_header)
{
    const auto &asked = c.ruleset.rules[i].match.*field;
    if (asked.negated || asked.ranges.size() < 2 || c.reaches[i] != Case::Reach::reached)
        return;
    std::size_t useless = 0;
    for (const auto &range : asked.ranges) {
        auto match = c.ruleset.rules[i].match;
        (match.*field).ranges = {range};
        bool reached = false;
        for (std::size_t p = 0; p < c.packets.size(); ++p)
            reached = reached || (c.decider(p) >= i && means(match, c.packets[p]) &&
                                  !(of_header && hides_header(c.packets[p].transport())));
        useless += !reached;
    }
    const auto said =
        std::count_if(lint.findings.begin(), lint.findings.end(), [&](const Finding &f) {
            return f.rule == i && f.fault == Fault::useless_part && f.part.starts_with(name + " ");
        });
    REQUIRE(static_cast<std::size_t>(said) == useless);
}

efw_action any_default(universe::Random &random)
{
    return std::array{EFW_ACCEPT, EFW_DROP, EFW_SLOW}[below(random, 3)];
}

// A ruleset that differs from `r` little, or not at all.
Ruleset changed(universe::Random &random, const universe::Fields &fields, Ruleset r)
{
    for (unsigned n = below(random, 3); n > 0; --n) {
        const auto at = below(random, static_cast<unsigned>(r.rules.size()));
        const auto place = r.rules.begin() + at;
        switch (below(random, 7)) {
        case 0:
            r.rules.insert(place, universe::any_rule(random, fields));
            break;
        case 1:
            if (r.rules.size() > 1)
                r.rules.erase(place);
            break;
        case 2:
            if (at > 0)
                std::swap(*place, *std::prev(place));
            break;
        case 3: // the same again, behind
            r.rules.push_back(*place);
            break;
        case 4: // the default as a rule
            r.rules.emplace_back();
            r.rules.back().action = r.otherwise;
            r.otherwise = any_default(random);
            break;
        case 5: // in two halves
            r.rules.insert(place, *place);
            r.rules[at].match.fragment = {{{PKT_FRAG_NONE, PKT_FRAG_NONE}}, false};
            break;
        case 6:
            place->match = universe::any_rule(random, fields).match;
            break;
        }
    }
    return r;
}

const universe::Fields narrow_fields{universe::a_src, universe::a_dst, universe::a_ports};

// Rules that mean few packets each.
std::vector<Rule> narrow_rules(universe::Random &random, std::size_t n)
{
    std::vector<Rule> out;
    while (out.size() < n) {
        Rule rule = universe::any_rule(random, narrow_fields);
        const auto &m = rule.match;
        const int asked = m.src.asked() + m.dst.asked() + m.sport.asked() + m.dport.asked();
        if (asked >= 2 && m.family != 6 && !m.src.negated && !m.dst.negated)
            out.push_back(rule);
    }
    return out;
}

std::string written(const Ruleset &r)
{
    std::string out;
    for (std::size_t i = 0; i < r.rules.size(); ++i)
        out += std::to_string(i) + ": " + text_of(r.rules[i]) + "\n";
    return out;
}

void check_lint(std::vector<Rule> rules, efw_action otherwise, const Packets &packets,
                std::set<Fault> &seen)
{
    Ruleset ruleset{std::move(rules), otherwise};
    mark({&ruleset}, packets);
    const Case c(std::move(ruleset), packets);
    const Lint result = lint(c.ruleset);
    INFO(written(c.ruleset));
    REQUIRE(result.undecided.empty());
    for (const auto &f : result.findings) {
        seen.insert(f.fault);
        INFO("rule " << f.rule << " fault " << static_cast<int>(f.fault));
        check_witness(c, f);
    }
    for (std::uint32_t i = 0; i < c.ruleset.rules.size(); ++i) {
        INFO("rule " << i);
        check_reach(c, result, i);
        check_overlap(c, result, i);
        check_parts(c, result, i, &match::Match::src, "saddr", false);
        check_parts(c, result, i, &match::Match::dport, "dport", true);
        check_parts(c, result, i, &match::Match::length, "length", false);
    }
    check_redundant(c, result);
}

struct Tally {
    int equal = 0, different = 0, by_limit = 0;
};

void check_diff(Ruleset a, Ruleset b, const Packets &packets, Tally &tally)
{
    mark({&a, &b}, packets);
    const Diff d = diff(a, b);
    REQUIRE((d.answer == Diff::Answer::equal) == same(a, b, packets));
    if (d.answer == Diff::Answer::equal) {
        ++tally.equal;
        return;
    }
    ++tally.different;
    REQUIRE(d.answer == Diff::Answer::different);
    INFO(text_of(*d.witness));
    REQUIRE(story(a, *d.witness) != story(b, *d.witness));
    for (const auto &[ruleset, said] : {std::pair{&a, &d.a}, std::pair{&b, &d.b}}) {
        const auto f = universe::fate(ruleset->rules, ruleset->otherwise, *d.witness);
        REQUIRE(said->rule == f.rule);
        REQUIRE(said->action == f.action);
        REQUIRE(
            std::equal(said->before.begin(), said->before.end(), f.before.begin(), f.before.end()));
    }
    tally.by_limit += d.a.action == d.b.action;
}

constexpr int rounds = 3000;
constexpr int many_rounds = 12;

} // namespace

TEST_CASE("lint finds what a look at every packet finds, and nothing else")
{
    universe::Random random(11);
    std::set<Fault> seen;
    for (int round = 0; round < rounds; ++round) {
        const auto fields = universe::any_fields(random, 1 + below(random, 2));
        INFO("round " << round);
        check_lint(universe::any_rules(random, fields, 2 + below(random, 9)), any_default(random),
                   universe::all_packets(fields), seen);
    }
    CHECK(seen.size() == 6);
}

TEST_CASE("a rule that logs is never called redundant")
{
    const auto faults = [](const char *text) {
        auto rule = parse_rule(text);
        REQUIRE(rule);
        std::vector<Fault> out;
        for (const auto &finding : lint({{*std::move(rule)}, EFW_DROP}).findings)
            out.push_back(finding.fault);
        return out;
    };
    CHECK(faults("ip saddr 192.0.2.1 drop") == std::vector{Fault::redundant});
    CHECK(faults("ip saddr 192.0.2.1 log drop").empty());
}

// So many that they are looked up, and that fields are split.
TEST_CASE("lint finds it among many rules")
{
    universe::Random random(14);
    std::set<Fault> seen;
    for (int round = 0; round < many_rounds; ++round) {
        INFO("round " << round);
        check_lint(narrow_rules(random, 90), any_default(random),
                   universe::all_packets(narrow_fields), seen);
    }
}

TEST_CASE("diff answers as a look at every packet does")
{
    universe::Random random(12);
    Tally tally;
    for (int round = 0; round < rounds; ++round) {
        const auto fields = universe::any_fields(random, 1 + below(random, 2));
        const Ruleset a{universe::any_rules(random, fields, 2 + below(random, 8)),
                        any_default(random)};
        const Ruleset b =
            below(random, 8) ? changed(random, fields, a)
                             : Ruleset{universe::any_rules(random, fields, 2), any_default(random)};
        INFO("round " << round);
        check_diff(a, b, universe::all_packets(fields), tally);
    }
    CHECK(tally.equal > rounds / 5);
    CHECK(tally.different > rounds / 5);
    CHECK(tally.by_limit > 10);
}

TEST_CASE("diff answers so of many rules")
{
    universe::Random random(15);
    Tally tally;
    for (int round = 0; round < 10 * many_rounds; ++round) {
        const Ruleset a{narrow_rules(random, 90), any_default(random)};
        INFO("round " << round);
        check_diff(a, changed(random, narrow_fields, a), universe::all_packets(narrow_fields),
                   tally);
    }
    CHECK(tally.equal > many_rounds);
    CHECK(tally.different > many_rounds);
}

TEST_CASE("with few steps less is decided, and nothing wrongly")
{
    universe::Random random(13);
    std::size_t undecided_lint = 0, undecided_diff = 0;
    for (int round = 0; round < rounds / 3; ++round) {
        const auto fields = universe::any_fields(random, 2);
        const auto packets = universe::all_packets(fields);
        Ruleset a{universe::any_rules(random, fields, 8), any_default(random)};
        Ruleset b = changed(random, fields, a);
        mark({&a, &b}, packets);
        const Case c(a, packets);
        INFO("round " << round);
        const Lint l = lint(a, {.budget = 1 + below(random, 40)});
        undecided_lint += l.undecided.size();
        std::vector<bool> removed(a.rules.size());
        for (const auto &f : l.findings) {
            check_witness(c, f);
            removed[f.rule] =
                removed[f.rule] || (f.fault != Fault::overlap && f.fault != Fault::useless_part);
            if (f.fault == Fault::shadowed || f.fault == Fault::repeated)
                REQUIRE(c.reaches[f.rule] != Case::Reach::reached);
        }
        REQUIRE(same(a, without(a, removed), packets));
        const Diff d = diff(a, b, {.budget = 1 + below(random, 200)});
        undecided_diff += d.answer == Diff::Answer::undecided;
        if (d.answer != Diff::Answer::undecided)
            REQUIRE((d.answer == Diff::Answer::equal) == same(a, b, packets));
    }
    CHECK(undecided_lint > 100);
    CHECK(undecided_diff > 20);
}

TEST_CASE("whether rules count matters to a diff that is asked for it")
{
    Ruleset a{{}, EFW_DROP};
    Rule count;
    count.action = EFW_COUNT;
    count.match.family = 6;
    Ruleset b = a;
    b.rules.push_back(count);
    CHECK(diff(a, b).answer == Diff::Answer::equal);
    const Diff d = diff(a, b, {.counts = true});
    REQUIRE(d.answer == Diff::Answer::different);
    CHECK(d.witness->family() == 6);
    CHECK(d.b.before == std::vector<std::uint32_t>{0});
}
