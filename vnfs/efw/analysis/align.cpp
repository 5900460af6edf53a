// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/analysis/align.hpp"

#include <algorithm>
#include <map>
#include <unordered_map>

namespace evnf::efw::analysis
{

namespace
{

// Numbers rules by what they are: their boxes, what they do, and their limits.
class Kinds
{
public:
    std::vector<std::uint32_t> of(const Ruleset &ruleset, const Boxes &boxes)
    {
        std::vector<std::uint32_t> out;
        for (std::uint32_t i = 0; i <= boxes.size(); ++i) {
            const auto number = static_cast<std::uint32_t>(known_.size());
            out.push_back(known_.emplace(key(ruleset, boxes, i), number).first->second);
        }
        return out;
    }
    [[nodiscard]] std::size_t size() const { return known_.size(); }

private:
    static std::u32string key(const Ruleset &ruleset, const Boxes &boxes, std::uint32_t i)
    {
        std::u32string out;
        const auto put = [&](std::uint64_t n) { out += static_cast<char32_t>(n); };
        put(boxes.action(i));
        put(i < boxes.size() && ruleset.rules[i].limit.has_value());
        if (boxes.effect(i) == Effect::may) {
            const Limit &l = *ruleset.rules[i].limit;
            put(l.packets);
            put(l.seconds);
            put(l.burst);
            put(l.over);
            put(l.per_source);
        }
        for (std::size_t w = 0; w < worlds; ++w) {
            const Item *item = boxes.of(i, w);
            put(item ? item->box.size() + 1 : 0);
            if (!item)
                continue;
            put(item->unseen);
            for (const auto &part : item->box) {
                put(part.field);
                put(part.set.size());
                for (const auto &r : part.set) {
                    put(r.first);
                    put(r.last);
                }
            }
        }
        return out;
    }

    std::unordered_map<std::u32string, std::uint32_t> known_;
};

// The like one of each rule of a, or `absent`: of a kind the first with the first, and so
// on.
std::vector<std::uint32_t> partners(const Side &a, const Side &b)
{
    std::map<std::uint32_t, std::vector<std::uint32_t>> places;
    for (std::uint32_t j = static_cast<std::uint32_t>(b.kind.size()); j-- > 0;)
        places[b.kind[j]].push_back(j);
    std::vector<std::uint32_t> out;
    for (const auto kind : a.kind) {
        auto &free = places[kind];
        out.push_back(free.empty() ? Side::absent : free.back());
        if (!free.empty())
            free.pop_back();
    }
    return out;
}

// Aligns the most partners that are in the same order: a longest increasing sequence.
void keep_order(const std::vector<std::uint32_t> &partner, Side &a, Side &b)
{
    std::vector<std::uint32_t> ends; // by length: the rule of a that ends the best one
    std::vector<std::uint32_t> previous(partner.size(), Side::absent);
    for (std::uint32_t i = 0; i < partner.size(); ++i) {
        if (partner[i] == Side::absent)
            continue;
        const auto at =
            std::lower_bound(ends.begin(), ends.end(), partner[i],
                             [&](std::uint32_t e, std::uint32_t p) { return partner[e] < p; });
        if (at != ends.begin())
            previous[i] = *std::prev(at);
        if (at == ends.end())
            ends.push_back(i);
        else
            *at = i;
    }
    for (auto i = ends.empty() ? Side::absent : ends.back(); i != Side::absent; i = previous[i]) {
        a.aligned[i] = true;
        b.aligned[partner[i]] = true;
    }
}

void find_first(Side &side, std::size_t kinds)
{
    side.first.assign(kinds, Side::absent);
    for (std::uint32_t i = static_cast<std::uint32_t>(side.kind.size()); i-- > 0;)
        side.first[side.kind[i]] = i;
}

} // namespace

Alignment align(const Ruleset &a, const Boxes &boxes_a, const Ruleset &b, const Boxes &boxes_b)
{
    Kinds kinds;
    Alignment out;
    out.a.kind = kinds.of(a, boxes_a);
    out.b.kind = kinds.of(b, boxes_b);
    out.a.aligned.resize(out.a.kind.size());
    out.b.aligned.resize(out.b.kind.size());
    keep_order(partners(out.a, out.b), out.a, out.b);
    find_first(out.a, kinds.size());
    find_first(out.b, kinds.size());
    return out;
}

} // namespace evnf::efw::analysis
