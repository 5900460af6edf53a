// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/analysis/linter.hpp"

#include <algorithm>

namespace evnf::efw::analysis
{

namespace
{

constexpr std::size_t few_blamed = 16; // rules among which the needed ones are sought

std::vector<const Rule *> pointers(const std::vector<Rule> &rules)
{
    std::vector<const Rule *> out;
    for (const auto &r : rules)
        out.push_back(&r);
    return out;
}

} // namespace

Linter::Linter(const Ruleset &ruleset, const LintOptions &options)
    : ruleset_(ruleset),
      options_(options),
      space_(pointers(ruleset.rules)),
      boxes_(ruleset, space_),
      removed_(ruleset.rules.size()),
      seen_(ruleset.rules.size())
{
    for (std::uint32_t i = 0; i < boxes_.size(); ++i)
        for (std::size_t w = 0; w < worlds; ++w)
            if (const Item *item = boxes_.of(i, w))
                seen_[i] = seen_[i] || !item->unseen;
}

const Item *Linter::wanted(std::uint32_t rule, std::size_t world) const
{
    const Item *item = boxes_.of(rule, world);
    return item && item->unseen && seen_[rule] ? nullptr : item;
}

Lint Linter::run()
{
    for (std::uint32_t i = 0; i < boxes_.size(); ++i) {
        if (options_.progress)
            options_.progress(i);
        if (reached(i)) {
            overlaps(i);
            useless_parts(i);
        }
    }
    // Only now is it known which of the later rules are reached.
    for (std::uint32_t i = 0; i < boxes_.size(); ++i)
        if (!removed_[i] && boxes_.effect(i) != Effect::none && !ruleset_.rules[i].log_sample)
            redundant(i);
    std::stable_sort(out_.findings.begin(), out_.findings.end(),
                     [](const Finding &a, const Finding &b) { return a.rule < b.rule; });
    return std::move(out_);
}

// Those that decide before rule `end`, but for `except` and the removed ones.
std::vector<const Item *> Linter::deciding(std::size_t world, const Box &box, std::uint32_t end,
                                           std::uint32_t except) const
{
    auto out = boxes_.deciding(world, box, 0, end);
    std::erase_if(out, [&](const Item *i) { return i->rule == except || removed(i->rule); });
    return out;
}

void Linter::found(Finding finding)
{
    if (finding.fault != Fault::overlap && finding.fault != Fault::useless_part)
        removed_[finding.rule] = true;
    out_.findings.push_back(std::move(finding));
}

// Whether the rule is met by any packet, or if that is undecided; else it is found.
bool Linter::reached(std::uint32_t i)
{
    bool meant = false, undecided = false;
    Rules blamed;
    for (std::size_t w = 0; w < worlds; ++w) {
        const Item *item = boxes_.of(i, w);
        if (!item)
            continue;
        meant = true;
        Budget budget{options_.budget};
        const Cover c = cover(space_.world(w), item->box, deciding(w, item->box, i, i), budget);
        if (c.covered == Covered::no)
            return true;
        undecided = undecided || c.covered == Covered::undecided;
        for (const Item *needed : c.needed)
            blamed.push_back(needed->rule);
    }
    if (!meant) {
        found({.fault = Fault::never, .rule = i});
        return false;
    }
    if (undecided) {
        out_.undecided.push_back({i, Fault::shadowed});
        return true;
    }
    shadowed(i, std::move(blamed));
    return false;
}

// Whether the rules mean all that rule i means, or with `of_wanted` all that wanted() has.
bool Linter::covered_by(std::uint32_t i, const Rules &rules, bool of_wanted) const
{
    for (std::size_t w = 0; w < worlds; ++w) {
        const Item *item = of_wanted ? wanted(i, w) : boxes_.of(i, w);
        if (!item)
            continue;
        std::vector<const Item *> items;
        for (const auto r : rules)
            if (const Item *other = boxes_.of(r, w); other && other->effect == Effect::decides)
                items.push_back(other);
        Budget budget{options_.budget};
        if (cover(space_.world(w), item->box, std::move(items), budget).covered != Covered::yes)
            return false;
    }
    return true;
}

// Of rules that cover rule i together: one that does it alone, or some none of which
// can be left out. Of very many, all.
Linter::Rules Linter::least(std::uint32_t i, Rules rules, bool of_wanted) const
{
    std::sort(rules.begin(), rules.end());
    rules.erase(std::unique(rules.begin(), rules.end()), rules.end());
    for (const auto r : rules)
        if (covered_by(i, {r}, of_wanted))
            return {r};
    for (std::size_t at = rules.size(); rules.size() <= few_blamed && at-- > 0;) {
        Rules without = rules;
        without.erase(without.begin() + static_cast<std::ptrdiff_t>(at));
        if (covered_by(i, without, of_wanted))
            rules = std::move(without);
    }
    return rules;
}

// Rule i is covered by others, which are `covering`. It is merely repeated if those
// that do the same cover it too.
void Linter::shadowed(std::uint32_t i, Rules covering)
{
    Taken otherwise, alike;
    if (!take(i, true, otherwise) || !take(i, false, alike)) {
        out_.undecided.push_back({i, Fault::shadowed});
        return;
    }
    const auto same = covering_alike(i);
    if (same && alike.packet)
        return found({Fault::repeated, i, least(i, *same, true), alike.packet, alike.by, ""});
    const Rules by = least(i, std::move(covering), false);
    const Taken known = taken_by_one_of(i, by);
    const Taken &shown = known.packet ? known : otherwise.packet ? otherwise : alike;
    found({Fault::shadowed, i, by, shown.packet, shown.by, ""});
}

// A packet of rule i that one of these decides, and does not do the same.
Linter::Taken Linter::taken_by_one_of(std::uint32_t i, const Rules &rules) const
{
    bool undecided = false;
    for (const auto j : rules)
        for (std::size_t w = 0; w < worlds; ++w) {
            const Item *a = wanted(i, w);
            const Item *b = boxes_.of(j, w);
            if (!a || !b || b->effect != Effect::decides || !meets(a->box, b->box) ||
                (a->effect == Effect::decides && a->action == b->action))
                continue;
            if (auto packet = taken_by(i, j, w, undecided))
                return {packet, j};
        }
    return {};
}

// The earlier rules of the same action that cover what is wanted of rule i, if they do.
std::optional<Linter::Rules> Linter::covering_alike(std::uint32_t i) const
{
    Rules out;
    for (std::size_t w = 0; w < worlds; ++w) {
        const Item *item = wanted(i, w);
        if (!item)
            continue;
        if (item->effect != Effect::decides)
            return std::nullopt;
        auto items = deciding(w, item->box, i, i);
        std::erase_if(items, [&](const Item *other) { return other->action != item->action; });
        Budget budget{options_.budget};
        const Cover c = cover(space_.world(w), item->box, std::move(items), budget);
        if (c.covered != Covered::yes)
            return std::nullopt;
        for (const Item *needed : c.needed)
            out.push_back(needed->rule);
    }
    return out;
}

// A packet of rule i that an earlier one decides, to another action or to the same.
// False if that is undecided.
bool Linter::take(std::uint32_t i, bool otherwise, Taken &out) const
{
    bool undecided = false;
    for (std::size_t w = 0; w < worlds; ++w) {
        const Item *item = wanted(i, w);
        if (!item)
            continue;
        for (const Item *earlier : deciding(w, item->box, i, i)) {
            if ((earlier->action != item->action) != otherwise)
                continue;
            out = {taken_by(i, earlier->rule, w, undecided), earlier->rule};
            if (out.packet || undecided)
                return out.packet.has_value();
        }
    }
    return true;
}

// A packet that rule i means and the earlier rule j decides.
std::optional<Packet> Linter::taken_by(std::uint32_t i, std::uint32_t j, std::size_t w,
                                       bool &undecided) const
{
    const Box box = both(boxes_.of(i, w)->box, boxes_.of(j, w)->box);
    Budget budget{options_.budget};
    const Cover c = cover(space_.world(w), box, deciding(w, box, j, j), budget);
    undecided = undecided || c.covered == Covered::undecided;
    if (c.covered != Covered::no)
        return std::nullopt;
    return space_.packet(c.left, w);
}

Severity severity_of(Fault fault)
{
    switch (fault) {
    case Fault::shadowed:
        return Severity::error;
    case Fault::overlap:
        return Severity::info;
    case Fault::never:
    case Fault::repeated:
    case Fault::redundant:
    case Fault::useless_part:
        break;
    }
    return Severity::warning;
}

Lint lint(const Ruleset &ruleset, const LintOptions &options)
{
    return Linter(ruleset, options).run();
}

} // namespace evnf::efw::analysis
