// SPDX-License-Identifier: GPL-2.0-or-later
// Where the rulesets of a fast path lie: the map match_cells, of which one half holds the
// ruleset in force and the other the next.
#pragma once

#include <cstddef>

#include "base/bpf.hpp"
#include "base/result.hpp"
#include "match/compile.hpp"

namespace evnf::match
{

// Sets sizes and constants of bpf/lib/match.h for the objects that `maps` will load: room
// for rulesets of `bytes` each, and for `elements` of named sets.
Result<> prepare(bpf::MapSet &maps, std::size_t bytes, std::size_t elements);

// After prepare(): hardly any room for answers to remember, for a program that meets few
// packets.
Result<> remember_little(bpf::MapSet &maps);

class Store
{
public:
    static Result<Store> bind(const bpf::MapSet &maps);

    // Replaces the ruleset as a whole: a packet meets the old one or the new. After it no
    // packet is under way with the old one. Refused, with nothing changed, if it does not
    // fit.
    Result<> put(Tables tables);

    // Bytes of the ruleset in force, and of the greatest that fits.
    [[nodiscard]] std::size_t used() const { return used_ * sizeof(match_cell); }
    [[nodiscard]] std::size_t room() const { return half_ * sizeof(match_cell); }

private:
    Store(bpf::Mapping mapping, std::size_t half) : mapping_(std::move(mapping)), half_(half) {}

    bpf::Mapping mapping_;
    std::size_t half_; // cells of each half; the first begins after cell 0
    std::size_t used_ = 0;
};

} // namespace evnf::match
