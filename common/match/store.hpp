// SPDX-License-Identifier: GPL-2.0-or-later
// Where the rulesets of a fast path lie: the map match_cells. It has two places for a ruleset,
// the one in force and the next, and two for changes of it.
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

    // The same with tables that have been made for next_change(), and refer to those that were
    // last put. At most change_room() cells.
    void change(Tables tables);
    [[nodiscard]] std::uint32_t next_change() const;
    [[nodiscard]] std::size_t change_room() const { return change_; }
    // Where the tables begin that were last put.
    [[nodiscard]] std::uint32_t ruleset() const { return ruleset_; }

    // Bytes of the ruleset in force with its changes, and of the greatest that fits.
    [[nodiscard]] std::size_t used() const { return (used_ + changed_) * sizeof(match_cell); }
    [[nodiscard]] std::size_t room() const { return whole_ * sizeof(match_cell); }

private:
    Store(bpf::Mapping mapping, std::size_t whole, std::size_t change)
        : mapping_(std::move(mapping)),
          whole_(whole),
          change_(change)
    {
    }
    void bring(Tables tables, std::uint32_t first);

    bpf::Mapping mapping_;
    std::size_t whole_, change_;         // cells of each place, see next_change()
    std::uint32_t ruleset_ = 0;          // 0: none yet
    std::uint32_t in_force_ = 0;         // what cell 0 says
    std::size_t used_ = 0, changed_ = 0; // cells
};

} // namespace evnf::match
