// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/analysis/index.hpp"

#include <algorithm>
#include <numeric>

namespace evnf::efw::analysis
{

namespace
{

// Those in which rulesets differ most.
constexpr std::array indexed_fields{f_src, f_dst, f_sport, f_dport, f_in};
constexpr std::size_t few = 32; // that are sooner looked at than looked up

} // namespace

FieldIndex::FieldIndex(const std::vector<Item> &items, unsigned field)
{
    for (std::uint32_t i = 0; i < items.size(); ++i) {
        if (const Set *set = set_of(items[i].box, field))
            spans_.push_back({set->front().first, set->back().last, i, 0});
        else
            any_.push_back(i);
    }
    std::sort(spans_.begin(), spans_.end(),
              [](const Span &a, const Span &b) { return a.first < b.first; });
    for (const auto &s : spans_)
        lasts_.push_back(s.last);
    std::sort(lasts_.begin(), lasts_.end());
    build(0, spans_.size());
}

Class FieldIndex::build(std::size_t begin, std::size_t end)
{
    if (begin == end)
        return 0;
    const std::size_t root = std::midpoint(begin, end);
    spans_[root].reach = std::max({spans_[root].last, build(begin, root), build(root + 1, end)});
    return spans_[root].reach;
}

std::size_t FieldIndex::count(const Set &set) const
{
    const auto after = std::upper_bound(spans_.begin(), spans_.end(), set.back().last,
                                        [](Class c, const Span &s) { return c < s.first; }) -
                       spans_.begin();
    const auto before =
        std::lower_bound(lasts_.begin(), lasts_.end(), set.front().first) - lasts_.begin();
    return any_.size() + static_cast<std::size_t>(after - before);
}

void FieldIndex::find(const Set &set, std::vector<std::uint32_t> &out) const
{
    out = any_;
    find(0, spans_.size(), set.front().first, set.back().last, out);
}

void FieldIndex::find(std::size_t begin, std::size_t end, Class first, Class last,
                      std::vector<std::uint32_t> &out) const
{
    if (begin == end)
        return;
    const std::size_t root = std::midpoint(begin, end);
    const Span &span = spans_[root];
    if (span.reach < first)
        return;
    find(begin, root, first, last, out);
    if (span.first > last)
        return;
    if (span.last >= first)
        out.push_back(span.item);
    find(root + 1, end, first, last, out);
}

Layer::Layer(std::vector<Item> items) : items_(std::move(items))
{
    if (items_.size() > few)
        for (const unsigned field : indexed_fields)
            indexes_.emplace_back(items_, field);
}

const Item *Layer::of(std::uint32_t rule) const
{
    const auto at = std::lower_bound(items_.begin(), items_.end(), rule,
                                     [](const Item &i, std::uint32_t r) { return i.rule < r; });
    return at == items_.end() || at->rule != rule ? nullptr : &*at;
}

std::vector<const Item *> Layer::meeting(const Box &box, std::uint32_t begin,
                                         std::uint32_t end) const
{
    std::vector<const Item *> out;
    const auto from = std::lower_bound(items_.begin(), items_.end(), begin,
                                       [](const Item &i, std::uint32_t r) { return i.rule < r; });
    const auto to = std::lower_bound(from, items_.end(), end,
                                     [](const Item &i, std::uint32_t r) { return i.rule < r; });
    std::size_t best = static_cast<std::size_t>(to - from);
    const FieldIndex *index = nullptr;
    const Set *asked = nullptr;
    for (std::size_t i = 0; i < indexes_.size() && best > few; ++i)
        if (const Set *set = set_of(box, indexed_fields[i]))
            if (const auto n = indexes_[i].count(*set); n < best) {
                best = n;
                index = &indexes_[i];
                asked = set;
            }
    if (!index) {
        for (auto i = from; i != to; ++i)
            if (meets(i->box, box))
                out.push_back(&*i);
        return out;
    }
    std::vector<std::uint32_t> found;
    index->find(*asked, found);
    for (const auto i : found)
        if (const Item &item = items_[i];
            item.rule >= begin && item.rule < end && meets(item.box, box))
            out.push_back(&item);
    std::sort(out.begin(), out.end(),
              [](const Item *a, const Item *b) { return a->rule < b->rule; });
    return out;
}

} // namespace evnf::efw::analysis
