// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/analysis/linter.hpp"

#include <algorithm>

namespace evnf::efw::analysis
{

// Whether a packet that meets rule i goes another way without it: to a later rule of
// another action, if none decides between. Rules with limits do not decide, but that
// they may take it is another way too.
Linter::Answer Linter::goes_otherwise(std::uint32_t i, const Item &later, std::size_t w,
                                      const Box &box,
                                      const std::vector<const Item *> &deciding) const
{
    std::vector<const Item *> before;
    for (const Item *d : deciding)
        if (d->rule < later.rule && d->rule != i)
            before.push_back(d);
    Budget budget{options_.budget};
    const Cover c = cover(space_.world(w), both(later.box, box), std::move(before), budget);
    return c.covered == Covered::no    ? Answer::yes
           : c.covered == Covered::yes ? Answer::no
                                       : Answer::undecided;
}

Linter::Answer Linter::needed(std::uint32_t i, std::size_t w) const
{
    const Item *item = boxes_.of(i, w);
    if (!item)
        return Answer::no;
    const auto before = deciding(w, item->box, boxes_.size(), i);
    auto later = boxes_.layer(w).meeting(item->box, i + 1, boxes_.size() + 1);
    // Most rules are needed because of the default.
    std::rotate(later.begin(), later.end() - 1, later.end());
    bool undecided = false;
    for (const Item *l : later) {
        if (removed(l->rule) || l->effect == Effect::none || l->action == item->action)
            continue;
        const Answer a = goes_otherwise(i, *l, w, item->box, before);
        if (a == Answer::yes)
            return a;
        undecided = undecided || a == Answer::undecided;
    }
    return undecided ? Answer::undecided : Answer::no;
}

void Linter::redundant(std::uint32_t i)
{
    bool undecided = false;
    for (std::size_t w = 0; w < worlds; ++w) {
        const Answer a = needed(i, w);
        if (a == Answer::yes)
            return;
        undecided = undecided || a == Answer::undecided;
    }
    if (undecided)
        out_.undecided.push_back({i, Fault::redundant});
    else
        take_over(i);
}

// Finds the redundant rule i, with one that does its work after it.
void Linter::take_over(std::uint32_t i)
{
    for (std::size_t w = 0; w < worlds; ++w) {
        const Item *item = boxes_.of(i, w);
        if (!item)
            continue;
        Budget budget{options_.budget};
        const Cover c =
            cover(space_.world(w), item->box, boxes_.deciding(w, item->box, 0, i), budget);
        if (c.covered != Covered::no)
            continue;
        const auto later = boxes_.deciding(w, c.left, i + 1, boxes_.size() + 1);
        const Box box = both(c.left, later.front()->box);
        const bool decides = item->effect == Effect::decides;
        for (const Item *j : later)
            if (!removed(j->rule) && meets(j->box, box))
                return found({Fault::redundant,
                              i,
                              {j->rule},
                              space_.packet(both(box, j->box), w),
                              decides ? i : later.front()->rule,
                              ""});
    }
    out_.undecided.push_back({i, Fault::redundant});
}

} // namespace evnf::efw::analysis
