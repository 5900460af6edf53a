// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/elb/slot_tables.hpp"

#include <arpa/inet.h>

namespace evnf::elb
{

namespace
{

std::vector<std::uint16_t> slots_of(const Service &s)
{
    std::vector<Weighted> weighted;
    for (const auto &b : s.backends)
        weighted.push_back({b.endpoint, b.effective});
    return fill_slots(weighted);
}

} // namespace

Result<SlotTables> SlotTables::bind(const bpf::MapSet &maps)
{
    auto slots = maps.fd("elb_slots");
    if (!slots)
        return slots.error();
    return SlotTables(*slots);
}

Result<> SlotTables::put(__u32 index, const Service &s)
{
    const auto owners = slots_of(s);
    for (const auto &b : s.backends)
        held_.erase(b.id);
    for (const auto owner : owners)
        ++held_[s.backends[owner].id];
    if (owners.empty()) { // nobody takes new connections
        remove(index);
        return Unit{};
    }
    const Fd inner(bpf_map_create(BPF_MAP_TYPE_ARRAY, "elb_slot_table", sizeof(__u32),
                                  sizeof(elb_slot), ELB_SLOTS, nullptr));
    if (!inner)
        return sys_error("make room for the slots");
    std::vector<__u32> keys(ELB_SLOTS);
    std::vector<elb_slot> values(ELB_SLOTS);
    for (__u32 i = 0; i < ELB_SLOTS; ++i) {
        const Backend &b = s.backends[owners[i]];
        keys[i] = i;
        values[i] = {b.endpoint.address.raw(), htons(b.endpoint.port), b.id};
    }
    __u32 count = ELB_SLOTS;
    if (bpf_map_update_batch(inner.get(), keys.data(), values.data(), &count, nullptr))
        return sys_error("fill the slots");
    return bpf::put_inner(slots_, index, inner.get());
}

void SlotTables::remove(__u32 index)
{
    bpf_map_delete_elem(slots_, &index);
}

unsigned SlotTables::held(unsigned backend) const
{
    const auto it = held_.find(backend);
    return it == held_.end() ? 0 : it->second;
}

} // namespace evnf::elb
