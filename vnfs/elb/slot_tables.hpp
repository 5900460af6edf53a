// SPDX-License-Identifier: GPL-2.0-or-later
// Who gets new connections, as the fast path has it (place.h): each service's slots, and what
// else counts for it.
#pragma once

#include <array>
#include <map>
#include <vector>

#include "base/bpf.hpp"
#include "vnfs/elb/section.hpp"

namespace evnf::elb
{

class SlotTables
{
public:
    static Result<SlotTables> bind(const bpf::MapSet &maps);

    // A service, and its index.
    struct Placed {
        __u32 index;
        const Service *service;
    };
    // A packet reads one slot of one table: it sees the old placement or the new. Nothing is
    // replaced before there is room for all of it.
    Result<> put(const std::vector<Placed> &all);
    void remove(__u32 index);
    // Slots that a backend has.
    [[nodiscard]] unsigned held(unsigned backend) const;

private:
    using Choices = bpf::Map<__u32, elb_choice>;
    using Takers = bpf::Map<__u32, elb_taker>;
    using Sources = bpf::Map<__u32, elb_sources>;

    SlotTables(int few, int many, Choices choices, Takers takers, Sources sources)
        : few_(few),
          many_(many),
          choices_(choices),
          takers_(takers),
          sources_(sources)
    {
    }
    // New tables, that are to take the place of those of these indexes.
    struct Batch {
        std::vector<__u32> indexes;
        std::vector<Fd> tables;
    };
    Result<> swap(int outer, const Batch &batch);
    void take_away(__u32 index, std::size_t size);
    using TakersOf = std::map<unsigned, elb_taker>; // by backend
    static TakersOf takers_of(const Service &service);
    Result<> leaves(unsigned backend, elb_taker taker);
    Result<> put_choice(__u32 index, const Service &service);
    Result<> take_choice(__u32 index, const Service &service);
    void count(const Service &service, const std::vector<std::uint16_t> &owners);

    int few_, many_; // outer maps, of ELB_SLOTS and of ELB_MANY_SLOTS
    Choices choices_;
    Takers takers_;
    Sources sources_;
    std::map<__u32, std::size_t> sizes_;          // of tables that are in one of them, by index
    std::array<bool, ELB_MAX_SERVICES> second_{}; // whether ELB_SECOND_TERMS, by index
    std::map<__u32, TakersOf> taking_;            // what is in takers_, by index of the service
    std::vector<unsigned> held_ = std::vector<unsigned>(ELB_MAX_BACKENDS); // by backend
};

} // namespace evnf::elb
