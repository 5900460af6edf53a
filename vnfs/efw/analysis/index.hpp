// SPDX-License-Identifier: GPL-2.0-or-later
// The rules of a list that may meet a box, without a look at all of them.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "vnfs/efw/analysis/space.hpp"

namespace evnf::efw::analysis
{

// What a rule does to the packets that it means.
enum class Effect {
    decides, // each of them, for good
    may,     // it has a limit: some of them, by their rate
    none,    // counts them
};

// A rule as a box of one world.
struct Item {
    std::uint32_t rule; // its place in the order of evaluation
    Box box;
    // There: where it asks for what cannot be seen it decides for the slow path.
    Effect effect;
    efw_action action;
    bool unseen;
};

// The items whose set of one field may meet a set: an interval tree, in an array. The
// middle of each stretch is its root.
class FieldIndex
{
public:
    FieldIndex(const std::vector<Item> &items, unsigned field);

    // How many `find` will find.
    [[nodiscard]] std::size_t count(const Set &set) const;
    // Their places, in any order.
    void find(const Set &set, std::vector<std::uint32_t> &out) const;

private:
    struct Span {
        Class first, last; // of the item's set, gaps included
        std::uint32_t item;
        Class reach; // the greatest `last` below this root
    };
    Class build(std::size_t begin, std::size_t end);
    void find(std::size_t begin, std::size_t end, Class first, Class last,
              std::vector<std::uint32_t> &out) const;

    std::vector<Span> spans_; // by first
    std::vector<Class> lasts_;
    std::vector<std::uint32_t> any_; // that do not ask for the field
};

// The rules that mean packets of one world, in their order.
class Layer
{
public:
    explicit Layer(std::vector<Item> items);

    [[nodiscard]] const std::vector<Item> &items() const { return items_; }
    // The item of a rule, or null.
    [[nodiscard]] const Item *of(std::uint32_t rule) const;
    // Those that meet the box, with begin <= rule < end, in their order.
    [[nodiscard]] std::vector<const Item *> meeting(const Box &box, std::uint32_t begin,
                                                    std::uint32_t end) const;

private:
    std::vector<Item> items_;
    std::vector<FieldIndex> indexes_;
};

} // namespace evnf::efw::analysis
