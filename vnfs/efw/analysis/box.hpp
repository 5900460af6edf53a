// SPDX-License-Identifier: GPL-2.0-or-later
// Boxes: sets of packets, as a product of one set of values for each field.
//
// A value is the number of its class: values that no rule tells apart share one, see
// space.hpp. The algebra is exact; it knows nothing of what a field means.
#pragma once

#include <cstdint>
#include <vector>

#include "match/field.hpp"

namespace evnf::efw::analysis
{

using Class = std::uint32_t;
using Set = match::Ranges<Class>; // in normal form

bool meets(const Set &a, const Set &b);
bool within(const Set &inner, const Set &outer);
Set minus(const Set &a, const Set &b);

// What a field must be. Never empty, and never all that the field can be.
struct Part {
    unsigned field;
    Set set;
    friend bool operator==(const Part &, const Part &) = default;
};

// Sorted by field; one that is not there can be anything.
using Box = std::vector<Part>;

bool meets(const Box &a, const Box &b);
// What both have; they must meet.
Box both(const Box &a, const Box &b);
bool within(const Box &inner, const Box &outer);

// What a field of the box may be, or null for anything.
const Set *set_of(const Box &box, unsigned field);
void narrow(Box &box, unsigned field, Set set);

// How far `outer` holds all of `inner`, two boxes that meet: the fields by which it does
// not, as places in `outer`. Counting ends at `enough`.
struct Excess {
    unsigned fields = 0;
    std::size_t first = 0; // the first such place
};
Excess excess(const Box &inner, const Box &outer, unsigned enough);

// What `a` has and `b` has not, as boxes that do not meet each other. `whole` is all that
// each field can be.
std::vector<Box> minus(const Box &a, const Box &b, const std::vector<Set> &whole);

} // namespace evnf::efw::analysis
