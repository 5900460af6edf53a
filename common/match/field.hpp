// SPDX-License-Identifier: GPL-2.0-or-later
// What one field of a packet may be: a set of values, as ranges; and the algebra of such
// sets.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <limits>
#include <vector>

#include "base/net.hpp"

namespace evnf::match
{

// All values of a type in order: the least, the greatest, and the neighbours of one that
// is neither.
template <class Value>
struct Space {
    static Value least() { return 0; }
    static Value greatest() { return std::numeric_limits<Value>::max(); }
    static Value after(Value v) { return static_cast<Value>(v + 1); }
    static Value before(Value v) { return static_cast<Value>(v - 1); }
};

template <>
struct Space<Address> {
    static Address least() { return {}; }
    static Address greatest();
    static Address after(const Address &a);
    static Address before(const Address &a);
};

// Values from first to last, both included.
template <class Value>
struct Range {
    Value first, last;
    friend bool operator==(const Range &, const Range &) = default;
};

// A set of values. In its one normal form: sorted, with a gap between any two.
template <class Value>
using Ranges = std::vector<Range<Value>>;

template <class Value>
Ranges<Value> normalized(Ranges<Value> ranges)
{
    std::sort(ranges.begin(), ranges.end(),
              [](const auto &a, const auto &b) { return a.first < b.first; });
    Ranges<Value> out;
    for (const auto &r : ranges) {
        const bool joins = !out.empty() && (out.back().last == Space<Value>::greatest() ||
                                            r.first <= Space<Value>::after(out.back().last));
        if (!joins)
            out.push_back(r);
        else if (out.back().last < r.last)
            out.back().last = r.last;
    }
    return out;
}

// The values that `ranges`, in normal form, does not have.
template <class Value>
Ranges<Value> complement(const Ranges<Value> &ranges)
{
    Ranges<Value> out;
    Value next = Space<Value>::least();
    for (const auto &r : ranges) {
        if (next < r.first)
            out.push_back({next, Space<Value>::before(r.first)});
        if (r.last == Space<Value>::greatest())
            return out;
        next = Space<Value>::after(r.last);
    }
    out.push_back({next, Space<Value>::greatest()});
    return out;
}

template <class Value>
Ranges<Value> intersection(const Ranges<Value> &a, const Ranges<Value> &b)
{
    Ranges<Value> out;
    for (auto i = a.begin(), j = b.begin(); i != a.end() && j != b.end();) {
        const Value first = std::max(i->first, j->first);
        const Value last = std::min(i->last, j->last);
        if (first <= last)
            out.push_back({first, last});
        if (i->last < j->last)
            ++i;
        else
            ++j;
    }
    return out;
}

// The values that a rule asks of a field: one of the ranges or, negated, none of them.
// Without ranges the rule does not ask. A packet that does not have the field (a port, in
// ICMP) is not what a rule that asks for it means, negated or not.
template <class Value>
struct Field {
    Ranges<Value> ranges; // in normal form
    bool negated = false;

    [[nodiscard]] bool asked() const { return !ranges.empty(); }

    // The values that are meant, as one set.
    [[nodiscard]] Ranges<Value> values() const
    {
        return !asked() || negated ? complement(ranges) : ranges;
    }

    // Whether a packet that has the field with this value is meant.
    [[nodiscard]] bool allows(const Value &value) const
    {
        if (!asked())
            return true;
        const auto after =
            std::upper_bound(ranges.begin(), ranges.end(), value,
                             [](const Value &v, const Range<Value> &r) { return v < r.first; });
        const bool in = after != ranges.begin() && std::prev(after)->last >= value;
        return in != negated;
    }

    friend bool operator==(const Field &, const Field &) = default;
};

// The addresses of a prefix.
Range<Address> range_of(const Prefix &prefix);

// The longest prefix that has all addresses of a range, whose family is that of its first.
Prefix covering(const Range<Address> &range);

} // namespace evnf::match
