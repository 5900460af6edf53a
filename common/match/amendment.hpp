// SPDX-License-Identifier: GPL-2.0-or-later
// A list of rules as a few changes of another: what makes a change of one rule cost what one
// rule costs, however many there are.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "match/compile.hpp"

namespace evnf::match
{

// A ruleset that changes are made to.
struct Base {
    std::vector<EntryRef> rules; // in order of evaluation
    std::unordered_map<const Entry *, std::uint32_t> places;
    match_layout layout;
    std::vector<match_set_use> uses;
    Names names;

    // With the tables that these rules were compiled to. Where those lie, layout.first, is not
    // known yet.
    Base(std::vector<EntryRef> rules, Names names, const Tables &tables);
};

struct Amendment {
    struct Added {
        std::uint32_t place; // before which rule of the base it stands
        EntryRef rule;
    };
    std::vector<std::uint32_t> removed; // each once
    std::vector<Added> added;           // in order of evaluation
};

// How many rules may be removed before it costs less to compile the rest anew.
constexpr std::size_t most_removed = 1024;

// What makes the base's rules the wanted ones. None if that is too much for an amendment.
std::optional<Amendment> amendment_of(const Base &base, const std::vector<EntryRef> &wanted);

// Its tables, which will lie from `cell` on, at most `room` cells. None if that is too much:
// more cells, or more uses of sets than there may be.
std::optional<Tables> compile(const Base &base, const Amendment &amendment, std::uint32_t cell,
                              std::size_t room);

} // namespace evnf::match
