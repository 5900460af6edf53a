// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/edpi/policies.hpp"

#include <algorithm>
#include <atomic>

#include "vnfs/edpi/memory.hpp"

namespace evnf::edpi
{

Result<std::shared_ptr<Policies>> Policies::bind(const bpf::MapSet &maps)
{
    std::shared_ptr<Policies> p(new Policies);
    if (auto r = keep_map(maps, "edpi_policy_counters", p->counters_); !r)
        return r.error();
    if (auto r = map_array(maps, "edpi_policies", p->table_memory_, p->table_); !r)
        return r.error();
    if (auto r = map_array(maps, "edpi_policy_held", p->held_memory_, p->held_); !r)
        return r.error();
    return p;
}

unsigned Policies::find(std::uint64_t mark) const
{
    for (unsigned n = 1; n < EDPI_POLICY_NUMBERS; ++n)
        if (table_[n].mark == mark)
            return n;
    return 0;
}

Result<unsigned> Policies::enter(const Policy &policy)
{
    if (const unsigned known = find(policy.entry.mark))
        return known;
    const unsigned number = find(0);
    if (!number)
        return bad_input("no number is free for policy " + policy.name);
    auto counters = bpf::PerCpuCounters<counter>::bind(counters_.get());
    if (!counters)
        return counters.error();
    for (__u32 i = 0; i < EDPI_POLICY_COUNTS; ++i)
        if (auto r = counters->clear(number * EDPI_POLICY_COUNTS + i); !r)
            return r.error();
    held_[number] = {};
    table_[number] = policy.entry;
    return number;
}

void Policies::retire_others(const std::vector<unsigned> &numbers)
{
    for (unsigned n = 1; n < EDPI_POLICY_NUMBERS; ++n)
        if (std::find(numbers.begin(), numbers.end(), n) == numbers.end())
            table_[n] = {};
}

void Policies::count_held(unsigned number, std::size_t bytes)
{
    std::atomic_ref(held_[number].packets).fetch_add(1);
    std::atomic_ref(held_[number].bytes).fetch_add(bytes);
}

Policies::Counts Policies::counts(const Policy &policy) const
{
    const unsigned number = find(policy.entry.mark);
    const auto counters = bpf::PerCpuCounters<counter>::bind(counters_.get());
    if (!number || !counters)
        return {};
    const counter held{std::atomic_ref(held_[number].packets).load(),
                       std::atomic_ref(held_[number].bytes).load()};
    Counts out{counters->sum(number * EDPI_POLICY_COUNTS + EDPI_POLICY_MET),
               counters->sum(number * EDPI_POLICY_COUNTS + EDPI_POLICY_DROPPED)};
    out.met.packets += held.packets;
    out.met.bytes += held.bytes;
    if (policy.entry.action == EDPI_DROP)
        out.dropped = out.met;
    return out;
}

Result<Rules> Rules::make(std::shared_ptr<Policies> table, const json &section)
{
    Rules out;
    for (const auto &item : section["policy"]) {
        Policy policy = policy_of(item);
        auto number = table->enter(policy);
        if (!number)
            return number.error();
        out.policies.push_back({*number, std::move(policy)});
    }
    out.elephants = elephants_of(section["elephants"]);
    out.table = std::move(table);
    return out;
}

const Policy *Rules::find(unsigned number) const
{
    for (const auto &p : policies)
        if (p.number == number)
            return &p.policy;
    return nullptr;
}

// A flow without a name has a policy that asks for one only if its name was forgotten, with
// the daemon that knew it.
unsigned Rules::number_for(const Identity &who, unsigned now) const
{
    for (const auto &p : policies)
        if (p.policy.takes(who) || (p.number == now && !p.policy.hosts.empty() && who.host.empty()))
            return p.number;
    return 0;
}

std::vector<unsigned> Rules::numbers() const
{
    std::vector<unsigned> out;
    for (const auto &p : policies)
        out.push_back(p.number);
    return out;
}

json policies_json(const json &section, const Policies &table)
{
    json out = section["policy"];
    for (auto &item : out) {
        const auto c = table.counts(policy_of(item));
        item["packets"] = c.met.packets;
        item["bytes"] = c.met.bytes;
        item["dropped_packets"] = c.dropped.packets;
        item["dropped_bytes"] = c.dropped.bytes;
    }
    return out;
}

std::vector<Metric> policy_metrics(const json &section, const Policies &table)
{
    std::vector<Metric> out;
    const auto add = [&](const char *name, const char *help, const json &item, std::uint64_t n) {
        out.push_back({std::string("evnf_edpi_policy_") + name,
                       help,
                       {{"policy", item["name"]}},
                       static_cast<double>(n)});
    };
    for (const auto &item : section["policy"]) {
        const auto c = table.counts(policy_of(item));
        add("packets_total", "Frames of flows that have the policy", item, c.met.packets);
        add("bytes_total", "Their bytes", item, c.met.bytes);
        add("dropped_packets_total", "Frames that it has dropped", item, c.dropped.packets);
        add("dropped_bytes_total", "Their bytes", item, c.dropped.bytes);
    }
    return out;
}

} // namespace evnf::edpi
