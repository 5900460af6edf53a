// SPDX-License-Identifier: GPL-2.0-or-later
#include "match/amendment.hpp"

#include <algorithm>

#include "match/vectors.hpp"

namespace evnf::match
{

namespace
{

// Numbers of rules, the default's, those added and that of no rule must be different in the
// 16 bits that a flow's line has for them.
constexpr std::size_t most_numbers = 0xffff;

std::uint32_t live_vector(Cells &cells, const Base &base, const Amendment &amendment)
{
    Vectors vectors(cells, base.layout.words);
    Vector live = vectors.empty();
    live.set_all(base.rules.size());
    for (const auto rule : amendment.removed)
        live.set(rule, false);
    return vectors.store(live);
}

// The uses of sets are those of all rules. The base's tables say nothing of those that are
// new, which so exclude none of its rules.
void add_uses(Cells &cells, const Base &base, std::vector<match_set_use> uses)
{
    if (uses.size() <= base.uses.size())
        return;
    std::copy(base.uses.begin(), base.uses.end(), uses.begin());
    for (auto use = uses.begin() + static_cast<std::ptrdiff_t>(base.uses.size()); use != uses.end();
         ++use)
        use->member_vector = use->other_vector = 0;
    const auto cell = cells.add(uses);
    cells.layout().sets = static_cast<__u32>(uses.size());
    cells.layout().set_cell = cell;
}

} // namespace

Base::Base(std::vector<EntryRef> all, Names known, const Tables &tables)
    : rules(std::move(all)),
      layout(tables.front().layout),
      uses(set_uses(tables)),
      names(std::move(known))
{
    places.reserve(rules.size());
    for (std::uint32_t i = 0; i < rules.size(); ++i)
        places.emplace(rules[i].get(), i);
}

std::optional<Amendment> amendment_of(const Base &base, const std::vector<EntryRef> &wanted)
{
    Amendment out;
    std::vector<std::uint32_t> moved; // of removed: those that come back before their place
    std::uint32_t at = 0;             // of the base's rules, the next
    const auto is_moved = [&](std::uint32_t rule) {
        return std::find(moved.begin(), moved.end(), rule) != moved.end();
    };
    const auto skip_moved = [&] {
        while (!moved.empty() && is_moved(at))
            ++at;
    };
    for (std::size_t i = 0; i < wanted.size();) {
        skip_moved();
        const bool more = at < base.rules.size();
        if (more && wanted[i] == base.rules[at]) {
            ++at, ++i;
            continue;
        }
        const auto known = base.places.find(wanted[i].get());
        const bool later = known != base.places.end() && known->second > at;
        // The rule that should be here is either gone, or only behind one from below.
        if (later && !(i + 1 < wanted.size() && wanted[i + 1] == base.rules[at])) {
            out.removed.push_back(at++);
        } else {
            if (later) {
                moved.push_back(known->second);
                out.removed.push_back(known->second);
            }
            out.added.push_back({at, wanted[i++]});
        }
        if (out.removed.size() > most_removed || out.added.size() > MATCH_MAX_ADDED)
            return std::nullopt;
    }
    for (; at < base.rules.size(); ++at) {
        if (!is_moved(at))
            out.removed.push_back(at);
        if (out.removed.size() > most_removed)
            return std::nullopt;
    }
    if (base.rules.size() + 1 + out.added.size() > most_numbers ||
        base.rules.size() - out.removed.size() + out.added.size() > MATCH_MAX_RULES)
        return std::nullopt;
    return out;
}

std::optional<Tables> compile(const Base &base, const Amendment &amendment, std::uint32_t cell,
                              std::size_t room)
{
    std::vector<EntryRef> rules;
    std::vector<std::uint32_t> places(MATCH_MAX_ADDED);
    bool uses_sets = false;
    for (const auto &[place, rule] : amendment.added) {
        places[rules.size()] = place;
        rules.push_back(rule);
        uses_sets |= !rule->match.sets.empty();
    }
    auto added =
        compile(rules, {}, base.names, uses_sets ? base.uses : std::vector<match_set_use>());
    if (!added)
        return std::nullopt;

    Cells cells(cell - base.layout.first);
    cells.layout() = base.layout;
    cells.add(places); // first of all: they lie behind the layout
    if (!amendment.removed.empty()) {
        const auto live = live_vector(cells, base, amendment);
        cells.layout().live = live;
    }
    add_uses(cells, base, set_uses(*added));
    Tables out = cells.take();
    if (!rules.empty()) {
        const auto layout = cell + static_cast<std::uint32_t>(out.size());
        added->front().layout.first = layout;
        out.front().layout.added = layout;
        out.front().layout.looks |= added->front().layout.looks;
        out.insert(out.end(), added->begin(), added->end());
    }
    if (out.size() > room)
        return std::nullopt;
    return out;
}

} // namespace evnf::match
