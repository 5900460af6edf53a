// SPDX-License-Identifier: GPL-2.0-or-later
// The elements of a fast path's named sets, in the maps where it looks them up. They
// change while packets pass, without the rules; each packet sees the set before or after
// each single element came or went.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "base/bpf.hpp"
#include "vnfs/efw/section_sets.hpp"
#include "vnfs/efw/set_element.hpp"

namespace evnf::efw
{

using Elements = std::vector<match_set_element>;

class SetElements
{
public:
    static Result<SetElements> bind(const bpf::MapSet &maps);

    // What sets of these sizes need room for.
    static std::size_t room_for(const std::vector<DeclaredSet> &sets);

    struct Changed {
        std::size_t added = 0, removed = 0;
    };
    // Adds, then deletes; what is there already, or not there, does not matter. All or
    // nothing: refused is what the set has no room for.
    Result<Changed> change(const DeclaredSet &set, Elements add, Elements del);
    // Makes these the set's elements by what differs, first adding, then deleting: what was
    // in the set and stays in it never is absent. Only if the table is full meanwhile,
    // it deletes before the last are added.
    Result<Changed> replace(const DeclaredSet &set, Elements wanted);

    Result<std::size_t> count(const DeclaredSet &set);
    // All of them, sorted.
    Result<Elements> all(const DeclaredSet &set);

    // A part of the elements, in no order, and where the next begins, if there is one. Who
    // starts at 0 and goes on until the end gets each that was there all the time.
    struct Page {
        Elements elements;
        std::optional<__u32> next;
    };
    Result<Page> page(const DeclaredSet &set, __u32 from) const;

    // The element by which a packet with this address, port or pair is a member.
    [[nodiscard]] std::optional<match_set_element> member(const DeclaredSet &set,
                                                          const match_set_element &of) const;

    // Each set has a mark that it was filled, as it says which set has its number: the map
    // may be new, or have what was another's.
    [[nodiscard]] bool is_marked(const DeclaredSet &set) const;
    Result<> mark(const DeclaredSet &set);
    // Removes what is of none of these sets.
    Result<> keep_only(const std::vector<DeclaredSet> &sets);

private:
    static constexpr unsigned all_lengths = 129; // 0 to 128
    using ByLength = std::array<__u32, all_lengths>;
    using Table = bpf::Map<match_set_element, __u32>;
    using Lengths = bpf::Map<__u32, match_set_lengths>;

    using Changes = bpf::Map<__u32, __u32>;

    SetElements(Table table, Lengths lengths, Changes changes)
        : table_(table),
          lengths_(lengths),
          changes_(changes)
    {
    }
    Result<> count_all();
    Result<Changed> apply(const DeclaredSet &set, const Elements &fresh, const Elements &gone);
    Result<> change_elements(unsigned set, const Elements &fresh, const Elements &gone);
    Result<> put(const Elements &fresh, const Elements &gone);
    Result<> begin_change();
    Result<> end_change();
    Result<> tell_lengths(unsigned set);
    [[nodiscard]] Result<> each(const std::function<void(const match_set_element &)> &take) const;

    Table table_;
    Lengths lengths_;
    Changes changes_;
    bool counted_ = false;
    std::map<unsigned, ByLength> counts_; // by the set's number
};

} // namespace evnf::efw
