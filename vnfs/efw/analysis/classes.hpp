// SPDX-License-Identifier: GPL-2.0-or-later
// The values of a field that no rule tells apart, as numbered intervals.
#pragma once

#include <algorithm>
#include <vector>

#include "vnfs/efw/analysis/box.hpp"

namespace evnf::efw::analysis
{

template <class Value>
class Classes
{
public:
    // Tells the values of these ranges from all others. To be called before any other.
    void cut(const match::Ranges<Value> &ranges)
    {
        for (const auto &r : ranges) {
            starts_.push_back(r.first);
            if (r.last != match::Space<Value>::greatest())
                starts_.push_back(match::Space<Value>::after(r.last));
        }
    }
    void number()
    {
        starts_.push_back(match::Space<Value>::least());
        std::sort(starts_.begin(), starts_.end());
        starts_.erase(std::unique(starts_.begin(), starts_.end()), starts_.end());
    }

    [[nodiscard]] Class of(const Value &value) const
    {
        const auto after = std::upper_bound(starts_.begin(), starts_.end(), value);
        return static_cast<Class>(after - starts_.begin() - 1);
    }
    // The ranges must begin and end where classes do.
    [[nodiscard]] Set of(const match::Ranges<Value> &ranges) const
    {
        Set out;
        for (const auto &r : ranges)
            out.push_back({of(r.first), of(r.last)});
        return match::normalized(std::move(out));
    }

    // A value of the set: one of `wanted`, if it has one of them.
    [[nodiscard]] Value value(const Set &set, const std::vector<Value> &wanted) const
    {
        for (const Value &w : wanted)
            if (const Class c = of(w); meets(set, Set{{c, c}}))
                return w;
        return starts_[set.front().first];
    }

private:
    std::vector<Value> starts_;
};

} // namespace evnf::efw::analysis
