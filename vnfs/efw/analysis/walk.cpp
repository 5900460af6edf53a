// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/analysis/walk.hpp"

#include <algorithm>

namespace evnf::efw::analysis
{

Walk::Answer Walk::run(const Box &box)
{
    return go(box, start(sides_.a, sides_.alignment.a, box),
              start(sides_.b, sides_.alignment.b, box));
}

Walk::Progress Walk::start(const Boxes &boxes, const Side &side, const Box &box) const
{
    Progress p{.boxes = &boxes, .side = &side, .items = {}, .fate = {}};
    p.items = boxes.layer(world_).meeting(box, 0, boxes.size() + 1);
    if (!sides_.counts)
        std::erase_if(p.items, [](const Item *i) { return i->effect == Effect::none; });
    return p;
}

// Goes on as long as the next rule means all packets of the box.
void Walk::advance(const Box &box, Progress &p)
{
    if (p.decided)
        return;
    std::erase_if(p.items, [&](const Item *i) { return !meets(i->box, box); });
    std::size_t passed = 0;
    for (; !p.decided && within(box, p.items[passed]->box); ++passed) {
        const Item &item = *p.items[passed];
        p.decided = item.effect == Effect::decides;
        if (!p.decided) {
            p.fate.before.push_back(item.rule);
            continue;
        }
        p.fate.rule = item.rule;
        p.fate.action = item.action;
        p.fate.unseen = item.unseen;
    }
    p.items.erase(p.items.begin(), p.items.begin() + static_cast<std::ptrdiff_t>(passed));
    if (p.decided)
        p.items.clear();
}

bool Walk::same_so_far(const Progress &a, const Progress &b)
{
    return std::equal(
        a.fate.before.begin(), a.fate.before.end(), b.fate.before.begin(), b.fate.before.end(),
        [&](std::uint32_t i, std::uint32_t j) { return a.side->kind[i] == b.side->kind[j]; });
}

bool Walk::same_to_come(const Progress &a, const Progress &b)
{
    return std::equal(a.items.begin(), a.items.end(), b.items.begin(), b.items.end(),
                      [&](const Item *i, const Item *j) {
                          return a.side->kind[i->rule] == b.side->kind[j->rule];
                      });
}

// A rule that may do what is done in the end anyway does not matter, if none comes
// between.
std::vector<std::uint32_t> Walk::kinds_that_matter(const Progress &p)
{
    auto rules = p.fate.before;
    while (!rules.empty() && p.boxes->action(rules.back()) == p.fate.action)
        rules.pop_back();
    for (auto &rule : rules)
        rule = p.side->kind[rule];
    return rules;
}

Walk::Answer Walk::end(const Box &box, const Progress &a, const Progress &b)
{
    if (a.fate.action == b.fate.action && kinds_that_matter(a) == kinds_that_matter(b))
        return Answer::same;
    packet_ = space_.packet(box, world_);
    a_ = a.fate;
    b_ = b.fate;
    return Answer::different;
}

Walk::Answer Walk::go(const Box &box, Progress a, Progress b)
{
    if (!budget_.take(a.items.size() + b.items.size() + 1))
        return Answer::undecided;
    advance(box, a);
    advance(box, b);
    if (a.decided && b.decided)
        return end(box, a, b);
    const bool same = !a.decided && !b.decided && same_so_far(a, b);
    if (same && same_to_come(a, b))
        return Answer::same;
    const Item &next = a.decided ? *b.items.front() : *a.items.front();
    const bool alike = same && next.effect == Effect::decides &&
                       a.side->kind[next.rule] == b.side->kind[b.items.front()->rule];
    if (!alike)
        if (const auto r = go(both(box, next.box), a, b); r != Answer::same)
            return r;
    for (const auto &rest : minus(box, next.box, space_.world(world_).whole))
        if (const auto r = go(rest, a, b); r != Answer::same)
            return r;
    return Answer::same;
}

} // namespace evnf::efw::analysis
