// SPDX-License-Identifier: GPL-2.0-or-later
// The fast path's slot tables: of each service, who gets the new connections that hash where.
#pragma once

#include <map>

#include "base/bpf.hpp"
#include "vnfs/elb/section.hpp"

namespace evnf::elb
{

class SlotTables
{
public:
    static Result<SlotTables> bind(const bpf::MapSet &maps);

    // A packet reads one slot of one table: it sees the old placement or the new.
    Result<> put(__u32 index, const Service &service);
    void remove(__u32 index);
    // Slots that a backend has.
    [[nodiscard]] unsigned held(unsigned backend) const;

private:
    explicit SlotTables(int slots) : slots_(slots) {}

    int slots_;                         // the outer map
    std::map<unsigned, unsigned> held_; // by backend, of those that have some
};

} // namespace evnf::elb
