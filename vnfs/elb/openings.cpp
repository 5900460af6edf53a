// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/elb/openings.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "vnfs/elb/flow_hash.h"

namespace evnf::elb
{

namespace
{

// Entries, for however few may be established.
constexpr __u32 least = 16384;

} // namespace

void set_openings(bpf::MapSet &maps, __u32 connections)
{
    const __u32 sets = std::bit_floor(std::max(connections / 2, least) / ELB_OPENING_WAYS);
    maps.set_size("elb_openings", sets);
    maps.set_constant("elb_opening_sets", sets);
    maps.set_carry("elb_openings", carry_openings);
}

Result<> enter_opening(OpeningSets to, const flow_key &key, const elb_opening &opening)
{
    auto sets = bpf::entries_of(to.fd());
    if (!sets)
        return sets.error();
    const __u32 hash = flow_hash(&key), at = opening_set_of(hash, *sets);
    auto set = to.get(at);
    if (!set)
        return sys_error("read the opening connections");
    int room = -1;
    for (int way = 0; way < ELB_OPENING_WAYS; ++way)
        if (!set->tags[way])
            room = way;
        else if (std::memcmp(&set->entries[way].key, &key, sizeof key) == 0)
            return Unit{};
    if (room < 0)
        return Unit{};
    set->tags[room] = opening_tag_of(hash);
    set->entries[room] = {key, opening, 0};
    return to.put(at, *set);
}

Result<> carry_openings(int from, int to)
{
    auto old = OpeningSets::bind(from);
    auto table = OpeningSets::bind(to);
    auto sets = bpf::entries_of(from);
    if (!old || !table || !sets)
        return !sets ? sets.error() : old ? table.error() : old.error();
    for (__u32 i = 0; i < *sets; ++i) {
        const auto set = old->get(i);
        if (!set)
            return sys_error("read the opening connections");
        for (int way = 0; way < ELB_OPENING_WAYS; ++way)
            if (set->tags[way])
                if (auto r =
                        enter_opening(*table, set->entries[way].key, set->entries[way].opening);
                    !r)
                    return r;
    }
    return Unit{};
}

} // namespace evnf::elb
