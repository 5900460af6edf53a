// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/elb/owners.hpp"

#include <utility>

namespace evnf::elb
{

namespace
{

// How long a backend that has gone may answer what it was sent.
constexpr std::chrono::minutes past_time{5};

} // namespace

Result<OwnerTable> OwnerTable::bind(const bpf::MapSet &maps)
{
    auto table = Table::bind(maps, "elb_owners");
    if (!table)
        return table.error();
    return OwnerTable(*table);
}

Result<> OwnerTable::bring(const std::vector<Service> &wanted)
{
    const Owners owners = owners_of(wanted);
    for (const auto &[key, owner] : owners) {
        past_.erase(key);
        if (auto r = table_.put(key, owner); !r)
            return r;
    }
    const auto now = std::chrono::steady_clock::now();
    for (const auto &[key, owner] : std::exchange(owners_, owners))
        if (!owners.contains(key))
            past_.emplace(key, now);
    forget(now);
    return Unit{};
}

void OwnerTable::forget(std::chrono::steady_clock::time_point now)
{
    std::erase_if(past_, [&](const auto &past) {
        const bool gone = now - past.second > past_time || past_.size() > ELB_MAX_BACKENDS;
        if (gone)
            table_.erase(past.first);
        return gone;
    });
}

} // namespace evnf::elb
