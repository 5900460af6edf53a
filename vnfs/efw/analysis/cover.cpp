// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/analysis/cover.hpp"

#include <algorithm>
#include <map>

namespace evnf::efw::analysis
{

namespace
{

using Items = std::vector<const Item *>;

constexpr std::size_t many = 24; // items, from which on a field is split

class Search
{
public:
    Search(const World &world, Budget &budget) : world_(world), budget_(budget) {}

    Covered run(Box box, Items items)
    {
        if (const auto known = reduce(box, items); known != Covered::undecided || spent_)
            return known;
        if (items.empty()) {
            left_ = std::move(box);
            return Covered::no;
        }
        return items.size() < many ? take_off(box, items) : split(box, items);
    }

    Cover result(Covered covered)
    {
        if (covered == Covered::no)
            return {covered, std::move(left_), {}};
        std::sort(needed_.begin(), needed_.end(),
                  [](const Item *a, const Item *b) { return a->rule < b->rule; });
        needed_.erase(std::unique(needed_.begin(), needed_.end()), needed_.end());
        return {covered, {}, std::move(needed_)};
    }

private:
    const Set &set(const Box &box, unsigned field) const
    {
        const Set *own = set_of(box, field);
        return own ? *own : world_.whole[field];
    }

    // Forgets the items that miss the box, and takes off those that hold all of it but
    // for one field, until only others are there. Undecided: nothing is known yet.
    Covered reduce(Box &box, Items &items)
    {
        for (bool changed = true; changed;) {
            changed = false;
            std::map<unsigned, Set> off;
            Items kept;
            for (const Item *item : items) {
                if (!budget_.take(1)) {
                    spent_ = true;
                    return Covered::undecided;
                }
                if (!meets(item->box, box))
                    continue;
                const Excess e = excess(box, item->box, 2);
                if (e.fields == 0) {
                    needed_.push_back(item);
                    return Covered::yes;
                }
                if (e.fields > 1) {
                    kept.push_back(item);
                    continue;
                }
                const Part &part = item->box[e.first];
                auto &sum = off[part.field];
                sum.insert(sum.end(), part.set.begin(), part.set.end());
                needed_.push_back(item);
            }
            for (auto &[field, sum] : off) {
                Set rest = minus(set(box, field), match::normalized(std::move(sum)));
                if (rest.empty())
                    return Covered::yes;
                narrow(box, field, std::move(rest));
                changed = true;
            }
            items = std::move(kept);
        }
        return Covered::undecided;
    }

    // Takes off the item that leaves the fewest boxes.
    Covered take_off(const Box &box, const Items &items)
    {
        const Item *best = nullptr;
        unsigned fewest = ~0U;
        for (const Item *item : items)
            if (const auto n = excess(box, item->box, fewest).fields; n < fewest) {
                best = item;
                fewest = n;
            }
        needed_.push_back(best);
        for (auto &rest : minus(box, best->box, world_.whole))
            if (const auto r = run(std::move(rest), items); r != Covered::yes)
                return r;
        return Covered::yes;
    }

    // The field by which most items hold only a part of the box.
    unsigned field_to_split(const Box &box, const Items &items) const
    {
        std::vector<unsigned> partial(world_.whole.size());
        for (const Item *item : items)
            for (const auto &part : item->box)
                if (const Set *own = set_of(box, part.field); !own || !within(*own, part.set))
                    ++partial[part.field];
        return static_cast<unsigned>(std::max_element(partial.begin(), partial.end()) -
                                     partial.begin());
    }

    Covered split(const Box &box, const Items &items)
    {
        const unsigned field = field_to_split(box, items);
        const Set &all = set(box, field);
        Items always;
        std::map<Class, std::pair<Items, Items>> turns; // which begin and which end there
        for (const Item *item : items) {
            const Set *own = set_of(item->box, field);
            if (!own || within(all, *own)) {
                always.push_back(item);
                continue;
            }
            for (const auto &r : *own) {
                turns[r.first].first.push_back(item);
                turns[r.last + 1].second.push_back(item);
            }
        }
        // Stretches with the same items are one box.
        std::map<Items, Set> stretches;
        Items active;
        Class begin = 0;
        const auto close = [&](Class end) {
            Set stretch = match::intersection(all, Set{{begin, end - 1}});
            if (stretch.empty())
                return;
            auto &set = stretches[active];
            set.insert(set.end(), stretch.begin(), stretch.end());
        };
        for (const auto &[at, turn] : turns) {
            if (!budget_.take(active.size() + 1)) {
                spent_ = true;
                return Covered::undecided;
            }
            if (begin < at)
                close(at);
            begin = at;
            for (const Item *item : turn.second)
                active.erase(std::lower_bound(active.begin(), active.end(), item));
            for (const Item *item : turn.first)
                active.insert(std::lower_bound(active.begin(), active.end(), item), item);
        }
        close(all.back().last + 1);
        return run_stretches(box, field, stretches, always);
    }

    Covered run_stretches(const Box &box, unsigned field, const std::map<Items, Set> &stretches,
                          const Items &always)
    {
        std::vector<std::pair<const Items *, const Set *>> order;
        for (const auto &[active, set] : stretches)
            order.emplace_back(&active, &set);
        // What is left is sooner found where fewer items are.
        std::stable_sort(order.begin(), order.end(), [](const auto &a, const auto &b) {
            return a.first->size() < b.first->size();
        });
        for (const auto &[active, set] : order) {
            Box part = box;
            narrow(part, field, match::normalized(*set));
            // Most stretches are held by one of those that begin or end in them.
            const auto holds = std::find_if(active->begin(), active->end(),
                                            [&](const Item *i) { return within(part, i->box); });
            if (holds != active->end()) {
                needed_.push_back(*holds);
                continue;
            }
            Items items = *active;
            items.insert(items.end(), always.begin(), always.end());
            if (const auto r = run(std::move(part), std::move(items)); r != Covered::yes)
                return r;
        }
        return Covered::yes;
    }

    const World &world_;
    Budget &budget_;
    bool spent_ = false;
    Box left_;
    Items needed_;
};

} // namespace

Cover cover(const World &world, const Box &box, std::vector<const Item *> items, Budget &budget)
{
    Search search(world, budget);
    const auto covered = search.run(box, std::move(items));
    return search.result(covered);
}

} // namespace evnf::efw::analysis
