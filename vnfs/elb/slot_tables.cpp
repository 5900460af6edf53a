// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/elb/slot_tables.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace evnf::elb
{

namespace
{

std::vector<std::uint16_t> owners_of(const Service &s)
{
    std::vector<Weighted> weighted;
    for (const auto &b : s.backends)
        weighted.push_back({b.endpoint, b.effective});
    return fill_slots(weighted);
}

std::uint8_t choice_bits(const Choice &c)
{
    return static_cast<std::uint8_t>((c.by_source ? ELB_CHOOSE_SOURCE : 0) |
                                     (c.least_connections ? ELB_CHOOSE_LEAST : 0));
}

// IPv4 is the last 32 bits of an ip_addr.
ip_addr mask_of(const Service &s)
{
    const unsigned bits = s.choice.prefix + (s.address.is_v4() ? 96 : 0);
    ip_addr out{};
    for (unsigned i = 0; i < 4; ++i) {
        const unsigned left = std::min(bits > 32 * i ? bits - 32 * i : 0U, 32U);
        out.w[i] = htonl(left ? ~0U << (32 - left) : 0);
    }
    return out;
}

Result<Fd> make_table(const Service &s, bool second, const std::vector<std::uint16_t> &owners)
{
    LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);
    Fd table(bpf_map_create(BPF_MAP_TYPE_ARRAY, "elb_slot_table", sizeof(__u32), sizeof(elb_slot),
                            static_cast<__u32>(owners.size()), &options));
    if (!table)
        return sys_error("make room for the slots");
    // A thousandth of what as many updates take.
    const auto memory = bpf::Mapping::of_array(table.get(), sizeof(elb_slot));
    if (!memory)
        return memory.error();
    std::uint64_t heaviest = 1;
    for (const auto &b : s.backends)
        heaviest = std::max<std::uint64_t>(heaviest, b.effective);
    const auto choice = static_cast<__u8>(choice_bits(s.choice) | (second ? ELB_SECOND_TERMS : 0));
    std::vector<elb_slot> of_backend;
    for (const auto &b : s.backends)
        of_backend.push_back(
            {b.endpoint.address.raw(), htons(b.endpoint.port), b.id,
             static_cast<__u16>(std::max<std::uint64_t>(b.effective * 65535ULL / heaviest, 1)),
             choice, static_cast<__u8>(s.forwarding.how)});
    auto *slots = reinterpret_cast<elb_slot *>(memory->data());
    for (std::size_t i = 0; i < owners.size(); ++i)
        slots[i] = of_backend[owners[i]];
    return table;
}

} // namespace

Result<SlotTables> SlotTables::bind(const bpf::MapSet &maps)
{
    auto few = maps.fd("elb_slots");
    if (!few)
        return few.error();
    auto many = maps.fd("elb_many_slots");
    if (!many)
        return many.error();
    auto choices = Choices::bind(maps, "elb_choices");
    if (!choices)
        return choices.error();
    auto takers = Takers::bind(maps, "elb_takers");
    if (!takers)
        return takers.error();
    auto sources = Sources::bind(maps, "elb_sources");
    if (!sources)
        return sources.error();
    return SlotTables(*few, *many, *choices, *takers, *sources);
}

Result<> SlotTables::put(const std::vector<Placed> &all)
{
    Batch few, many;
    std::vector<std::vector<std::uint16_t>> owners;
    for (const auto &[index, service] : all) {
        owners.push_back(owners_of(*service));
        if (owners.back().empty()) // nobody takes new connections
            continue;
        auto table = make_table(*service, !second_[index], owners.back());
        if (!table)
            return std::move(table).context("service " + service->name()).error();
        Batch &batch = owners.back().size() == ELB_SLOTS ? few : many;
        batch.indexes.push_back(index);
        batch.tables.push_back(*std::move(table));
    }
    for (const auto &[index, service] : all)
        if (auto r = put_choice(index, *service); !r)
            return r;
    // The fast path looks at the few first, so a service that gets many has them when its few
    // are taken away.
    if (auto r = swap(many_, many); !r)
        return r;
    if (auto r = swap(few_, few); !r)
        return r;
    for (std::size_t i = 0; i < all.size(); ++i) {
        const auto &[index, service] = all[i];
        take_away(index, owners[i].size());
        if (auto r = take_choice(index, *service); !r)
            return r;
        count(*service, owners[i]);
    }
    return Unit{};
}

// All at once: one by one each would wait for the packets in flight.
Result<> SlotTables::swap(int outer, const Batch &batch)
{
    if (batch.indexes.empty())
        return Unit{};
    std::vector<__u32> fds;
    for (const auto &table : batch.tables)
        fds.push_back(static_cast<__u32>(table.get()));
    auto count = static_cast<__u32>(fds.size());
    if (bpf_map_update_batch(outer, batch.indexes.data(), fds.data(), &count, nullptr))
        return sys_error("replace the slots");
    // No packet reads the old slots any more, nor by them the old terms.
    for (const auto index : batch.indexes)
        second_[index] = !second_[index];
    return Unit{};
}

// What a service has of another size than this.
void SlotTables::take_away(__u32 index, std::size_t size)
{
    const auto before = std::exchange(sizes_[index], size);
    if (before && before != size)
        bpf_map_delete_elem(before == ELB_SLOTS ? few_ : many_, &index);
}

SlotTables::TakersOf SlotTables::takers_of(const Service &s)
{
    TakersOf out;
    if (choice_bits(s.choice))
        for (const auto &b : s.backends)
            if (b.effective)
                out[b.id] = {s.id(), b.endpoint.address.raw(), htons(b.endpoint.port), {}};
    return out;
}

// Before its slots are.
Result<> SlotTables::put_choice(__u32 index, const Service &s)
{
    const __u32 terms = ELB_TERMS(index, second_[index] ? 0 : ELB_SECOND_TERMS); // unused now
    if (s.forwarding.how != ELB_NAT)
        if (auto r = sources_.put(terms, s.forwarding.raw()); !r)
            return r;
    if (!choice_bits(s.choice))
        return Unit{};
    if (auto r = choices_.put(terms, {s.id(), mask_of(s), s.choice.timeout, 0}); !r)
        return r;
    const auto &before = taking_[index];
    for (const auto &[backend, taker] : takers_of(s)) {
        const auto known = before.find(backend);
        if (known != before.end() && std::memcmp(&known->second, &taker, sizeof taker) == 0)
            continue;
        // A packet may read it meanwhile: where it leads is there before it counts.
        auto first = taker;
        first.service = 0;
        if (auto r = takers_.put(backend, first); !r)
            return r;
        if (auto r = takers_.put(backend, taker); !r)
            return r;
    }
    return Unit{};
}

// Where it leads stays, for a packet that reads it; its id may be another service's by now.
Result<> SlotTables::leaves(unsigned backend, elb_taker taker)
{
    const auto now = takers_.get(backend);
    if (now && now->service != taker.service)
        return Unit{};
    taker.service = 0;
    return takers_.put(backend, taker);
}

// When its slots have been put.
Result<> SlotTables::take_choice(__u32 index, const Service &s)
{
    auto now = takers_of(s);
    for (const auto &[backend, taker] : taking_[index])
        if (!now.contains(backend))
            if (auto r = leaves(backend, taker); !r)
                return r;
    taking_[index] = std::move(now);
    return Unit{};
}

void SlotTables::count(const Service &s, const std::vector<std::uint16_t> &owners)
{
    for (const auto &b : s.backends)
        held_[b.id] = 0;
    for (const auto owner : owners)
        ++held_[s.backends[owner].id];
}

void SlotTables::remove(__u32 index)
{
    take_away(index, 0);
    for (const auto &[backend, taker] : taking_[index])
        static_cast<void>(leaves(backend, taker)); // of an array: it cannot fail
    taking_.erase(index);
}

unsigned SlotTables::held(unsigned backend) const
{
    return held_[backend];
}

} // namespace evnf::elb
