// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/analysis/box.hpp"

#include <limits>

namespace evnf::efw::analysis
{

bool meets(const Set &a, const Set &b)
{
    for (auto i = a.begin(), j = b.begin(); i != a.end() && j != b.end();) {
        if (i->last < j->first)
            ++i;
        else if (j->last < i->first)
            ++j;
        else
            return true;
    }
    return false;
}

bool within(const Set &inner, const Set &outer)
{
    auto o = outer.begin();
    for (const auto &r : inner) {
        while (o != outer.end() && o->last < r.first)
            ++o;
        if (o == outer.end() || o->first > r.first || o->last < r.last)
            return false;
    }
    return true;
}

Set minus(const Set &a, const Set &b)
{
    Set out;
    auto j = b.begin();
    for (auto r : a) {
        while (j != b.end() && j->last < r.first)
            ++j;
        bool left = true;
        for (auto k = j; left && k != b.end() && k->first <= r.last; ++k) {
            if (r.first < k->first)
                out.push_back({r.first, k->first - 1});
            left = k->last < r.last;
            if (left)
                r.first = k->last + 1;
        }
        if (left)
            out.push_back(r);
    }
    return out;
}

bool meets(const Box &a, const Box &b)
{
    for (auto i = a.begin(), j = b.begin(); i != a.end() && j != b.end();) {
        if (i->field < j->field)
            ++i;
        else if (j->field < i->field)
            ++j;
        else if (!meets((i++)->set, (j++)->set))
            return false;
    }
    return true;
}

Box both(const Box &a, const Box &b)
{
    Box out;
    auto i = a.begin(), j = b.begin();
    while (i != a.end() || j != b.end()) {
        if (j == b.end() || (i != a.end() && i->field < j->field)) {
            out.push_back(*i++);
        } else if (i == a.end() || j->field < i->field) {
            out.push_back(*j++);
        } else {
            out.push_back({i->field, match::intersection(i->set, j->set)});
            ++i;
            ++j;
        }
    }
    return out;
}

bool within(const Box &inner, const Box &outer)
{
    return excess(inner, outer, 1).fields == 0;
}

const Set *set_of(const Box &box, unsigned field)
{
    for (const auto &part : box)
        if (part.field == field)
            return &part.set;
    return nullptr;
}

void narrow(Box &box, unsigned field, Set set)
{
    auto at = box.begin();
    while (at != box.end() && at->field < field)
        ++at;
    if (at != box.end() && at->field == field)
        at->set = std::move(set);
    else
        box.insert(at, {field, std::move(set)});
}

Excess excess(const Box &inner, const Box &outer, unsigned enough)
{
    Excess out;
    auto i = inner.begin();
    for (std::size_t at = 0; at < outer.size() && out.fields < enough; ++at) {
        while (i != inner.end() && i->field < outer[at].field)
            ++i;
        if (i != inner.end() && i->field == outer[at].field && within(i->set, outer[at].set))
            continue;
        if (out.fields++ == 0)
            out.first = at;
    }
    return out;
}

std::vector<Box> minus(const Box &a, const Box &b, const std::vector<Set> &whole)
{
    if (!meets(a, b))
        return {a};
    std::vector<Box> out;
    Box rest = a; // what is in all parts of b seen so far
    for (const auto &part : b) {
        const Set *own = set_of(rest, part.field);
        const Set all = own ? *own : whole[part.field];
        if (Set outside = minus(all, part.set); !outside.empty()) {
            out.push_back(rest);
            narrow(out.back(), part.field, std::move(outside));
        }
        narrow(rest, part.field, match::intersection(all, part.set));
    }
    return out;
}

} // namespace evnf::efw::analysis
