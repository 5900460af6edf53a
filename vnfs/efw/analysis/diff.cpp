// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/analysis/diff.hpp"

#include <algorithm>

#include "vnfs/efw/analysis/walk.hpp"

namespace evnf::efw::analysis
{

namespace
{

std::vector<const Rule *> pointers(const Ruleset &a, const Ruleset &b)
{
    std::vector<const Rule *> out;
    for (const auto *ruleset : {&a, &b})
        for (const auto &r : ruleset->rules)
            out.push_back(&r);
    return out;
}

class Differ
{
public:
    Differ(const Ruleset &a, const Ruleset &b, const DiffOptions &options)
        : options_(options),
          space_(pointers(a, b)),
          boxes_a_(a, space_),
          boxes_b_(b, space_),
          sides_{boxes_a_, boxes_b_, align(a, boxes_a_, b, boxes_b_), options.counts},
          budget_{options.budget}
    {
    }

    Diff run()
    {
        const One a{boxes_a_, sides_.alignment.a}, b{boxes_b_, sides_.alignment.b};
        out_.unlike_a = unlike(a);
        out_.unlike_b = unlike(b);
        all_ = out_.unlike_a + out_.unlike_b;
        out_.answer = Diff::Answer::equal;
        decisions(a, b, false);
        decisions(b, a, true);
        if (out_.answer == Diff::Answer::equal) {
            limits(a);
            limits(b);
        }
        return std::move(out_);
    }

private:
    struct One {
        const Boxes &boxes;
        const Side &side;
    };

    static std::uint32_t unlike(const One &one)
    {
        return static_cast<std::uint32_t>(
            std::count(one.side.aligned.begin(), one.side.aligned.end(), false));
    }

    [[nodiscard]] bool stopped() const { return out_.answer == Diff::Answer::different; }

    void undecided()
    {
        if (!stopped())
            out_.answer = Diff::Answer::undecided;
    }

    // Packets that a rule without its like in `other` decides in `one`, and another rule
    // in `other` to another action.
    void decisions(const One &one, const One &other, bool only_aligned)
    {
        for (std::uint32_t i = 0; i <= one.boxes.size() && !stopped(); ++i) {
            if (one.side.aligned[i])
                continue;
            if (options_.progress)
                options_.progress(done_++, all_);
            for (std::size_t w = 0; w < worlds && !stopped(); ++w)
                if (const Item *item = one.boxes.of(i, w); item && item->effect == Effect::decides)
                    decisions(one, other, *item, w, only_aligned);
        }
    }

    void decisions(const One &one, const One &other, const Item &item, std::size_t w,
                   bool only_aligned)
    {
        const auto before = one.boxes.deciding(w, item.box, 0, item.rule);
        const Cover taken = cover(space_.world(w), item.box, before, budget_);
        if (taken.covered == Covered::yes)
            return;
        const auto theirs = other.boxes.deciding(w, item.box, 0, other.boxes.size() + 1);
        const auto like = other.side.first[one.side.kind[item.rule]];
        std::vector<const Item *> above; // of the other side, without what `before` has
        for (const Item *their : theirs) {
            if (their->rule >= like || stopped()) // the like one takes the rest
                return;
            const auto first = one.side.first[other.side.kind[their->rule]];
            const bool decided_alike = item.action == their->action;
            const bool looked_at = only_aligned && !other.side.aligned[their->rule];
            if (first < item.rule)
                continue; // all that it takes is taken before `item` too
            if (!decided_alike && !looked_at)
                differ(item, *their, before, above, w);
            above.push_back(their);
        }
    }

    void differ(const Item &item, const Item &their, std::vector<const Item *> before,
                const std::vector<const Item *> &above, std::size_t w)
    {
        before.insert(before.end(), above.begin(), above.end());
        const Cover c =
            cover(space_.world(w), both(item.box, their.box), std::move(before), budget_);
        if (c.covered == Covered::undecided)
            undecided();
        if (c.covered == Covered::no)
            walk(c.left, w);
    }

    void walk(const Box &box, std::size_t w)
    {
        Walk walk(sides_, space_, w, budget_);
        const auto answer = walk.run(box);
        if (answer == Walk::Answer::undecided)
            undecided();
        if (answer != Walk::Answer::different)
            return;
        out_.answer = Diff::Answer::different;
        out_.witness = walk.packet();
        out_.a = walk.a();
        out_.b = walk.b();
    }

    // Packets that are decided alike, but meet other rules with limits before.
    void limits(const One &one)
    {
        for (std::uint32_t i = 0; i <= one.boxes.size() && !stopped(); ++i) {
            if (one.side.aligned[i])
                continue;
            for (std::size_t w = 0; w < worlds && !stopped(); ++w)
                if (const Item *item = one.boxes.of(i, w); item && matters(*item, w))
                    walk(item->box, w);
        }
    }

    // Whether rules with limits, or such as count, may be met by what the item means.
    [[nodiscard]] bool matters(const Item &item, std::size_t w) const
    {
        if (item.effect == Effect::none && !options_.counts)
            return false;
        for (const Boxes *boxes : {&boxes_a_, &boxes_b_})
            for (const Item *i : boxes->layer(w).meeting(item.box, 0, boxes->size()))
                if (i->effect == Effect::may || (i->effect == Effect::none && options_.counts))
                    return true;
        return false;
    }

    const DiffOptions &options_;
    Space space_;
    Boxes boxes_a_, boxes_b_;
    Sides sides_;
    Budget budget_;
    std::size_t done_ = 0, all_ = 0;
    Diff out_;
};

} // namespace

Diff diff(const Ruleset &a, const Ruleset &b, const DiffOptions &options)
{
    return Differ(a, b, options).run();
}

} // namespace evnf::efw::analysis
