// SPDX-License-Identifier: GPL-2.0-or-later
// The search tree of one field: struct match_table of abi/match.h.
#pragma once

#include <algorithm>
#include <optional>
#include <vector>

#include "match/field.hpp"
#include "match/vectors.hpp"

namespace evnf::match
{

__extension__ typedef unsigned __int128 u128; // an IPv6 address as a number

// What one rule asks of a field: these values, or, without, nothing.
template <class Key>
using Asked = std::optional<Ranges<Key>>;

// The values until `last` from the interval before on, and the vector of their rules.
template <class Key>
struct Interval {
    Key last;
    std::uint32_t vector;
};

// Passes all values from 0 to the greatest of Key, and cuts them where a rule begins or
// ends.
template <class Key>
std::vector<Interval<Key>> intervals(const std::vector<Asked<Key>> &rules, Vectors &vectors)
{
    struct Change {
        Key at;
        std::uint32_t rule;
        bool to;
    };
    constexpr Key greatest = static_cast<Key>(~Key{0});
    Vector now = vectors.empty();
    std::vector<Change> changes;
    for (std::uint32_t i = 0; i < rules.size(); ++i) {
        if (!rules[i]) {
            now.set(i, true);
            continue;
        }
        for (const auto &r : *rules[i]) {
            changes.push_back({r.first, i, true});
            if (r.last != greatest)
                changes.push_back({static_cast<Key>(r.last + 1), i, false});
        }
    }
    std::sort(changes.begin(), changes.end(),
              [](const Change &a, const Change &b) { return a.at < b.at; });

    std::vector<Interval<Key>> out;
    auto close = [&](Key last) {
        const std::uint32_t vector = vectors.store(now);
        if (!out.empty() && out.back().vector == vector)
            out.back().last = last;
        else
            out.push_back({last, vector});
    };
    for (auto c = changes.begin(); c != changes.end();) {
        const Key at = c->at;
        if (at != 0)
            close(static_cast<Key>(at - 1));
        for (; c != changes.end() && c->at == at; ++c)
            now.set(c->rule, c->to);
    }
    close(greatest);
    return out;
}

// A key as it lies in a cell.
inline std::uint32_t stored(std::uint32_t key)
{
    return key;
}

inline match_bound stored(u128 key)
{
    return {static_cast<__u64>(key >> 64), static_cast<__u64>(key)};
}

// Writes the tree; gives its struct match_table's cell.
template <class Key>
std::uint32_t add_table(Cells &cells, const std::vector<Interval<Key>> &intervals)
{
    constexpr std::size_t keys_in_cell = sizeof(match_cell) / sizeof(Key);
    match_table table{};
    std::vector<std::uint32_t> vector;
    std::vector<Key> keys;
    for (const auto &i : intervals) {
        vector.push_back(i.vector);
        keys.push_back(i.last);
    }
    table.vector_cell = cells.add(vector);

    std::vector<std::uint32_t> levels; // from the lowest up
    while (true) {
        std::vector<decltype(stored(Key{}))> level;
        std::vector<Key> above;
        keys.resize((keys.size() + keys_in_cell - 1) / keys_in_cell * keys_in_cell,
                    static_cast<Key>(~Key{0}));
        for (std::size_t i = 0; i < keys.size(); ++i) {
            level.push_back(stored(keys[i]));
            if (i % keys_in_cell == keys_in_cell - 1)
                above.push_back(keys[i]);
        }
        levels.push_back(cells.add(level));
        if (above.size() == 1)
            break;
        keys = std::move(above);
    }
    table.levels = static_cast<__u32>(levels.size());
    std::copy(levels.rbegin(), levels.rend(), table.key_cell);
    return cells.add(std::as_bytes(std::span(&table, 1)));
}

} // namespace evnf::match
