// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/edpi/keeper.hpp"

#include <pthread.h>

#include <algorithm>
#include <map>

#include "base/log.hpp"
#include "vnfs/edpi/record.hpp"
#include "vnfs/edpi/section.hpp"

namespace evnf::edpi
{

namespace
{

constexpr std::chrono::milliseconds sweep_every{500};

// By the number of the table in the kernel. On the daemon's thread alone.
std::map<std::uint32_t, std::shared_ptr<Keeper>> &keepers()
{
    static std::map<std::uint32_t, std::shared_ptr<Keeper>> all;
    return all;
}

} // namespace

Result<Flows::Inspectors> make_inspectors(const json &section)
{
    const std::size_t n =
        std::clamp<std::size_t>(std::thread::hardware_concurrency(), 2, COPY_RINGS);
    Flows::Inspectors out;
    for (std::size_t i = 0; i < n; ++i) {
        auto one = Inspector::make(section["protocols"], limits_of(section),
                                   section["inspected"].get<std::size_t>() / n);
        if (!one)
            return one.error();
        out.push_back(*std::move(one));
    }
    return out;
}

Result<std::shared_ptr<Keeper>> Keeper::of(const bpf::MapSet &maps, const json &section)
{
    std::erase_if(keepers(), [](const auto &k) {
        return k.second.use_count() == 1 && k.second->flows_->load().used == 0;
    });
    auto table = maps.fd("edpi_slots");
    if (!table)
        return table.error();
    bpf_map_info info{};
    __u32 size = sizeof info;
    if (bpf_obj_get_info_by_fd(*table, &info, &size))
        return sys_error("look at map edpi_slots");
    if (const auto known = keepers().find(info.id); known != keepers().end())
        return known->second;
    auto made = make(maps, section);
    if (made)
        keepers().emplace(info.id, *made);
    return made;
}

Result<std::shared_ptr<Keeper>> Keeper::make(const bpf::MapSet &maps, const json &section)
{
    std::shared_ptr<Keeper> k(new Keeper);
    auto prepared = k->prepare(section);
    if (!prepared)
        return prepared.error();
    auto table = Table::bind(maps);
    if (!table)
        return table.error();
    auto policies = Policies::bind(maps);
    if (!policies)
        return policies.error();
    k->policies_ = *std::move(policies);
    k->flows_ = std::make_unique<Flows>(
        *std::move(table), std::move(prepared->inspectors),
        [keeper = k.get()](const json &record) { return keeper->export_record(record); });
    prepared->inspectors.clear();
    k->put_in_force(*std::move(prepared));
    k->thread_ = std::thread([keeper = k.get()] { keeper->run(); });
    ::pthread_setname_np(k->thread_.native_handle(), "evnf-edpi");
    return k;
}

Keeper::~Keeper()
{
    {
        const std::lock_guard lock(mutex_);
        ending_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable())
        thread_.join();
}

Result<Keeper::Prepared> Keeper::prepare(const json &section)
{
    Prepared out{section, {}, 0, nullptr, {}};
    {
        const std::lock_guard lock(mutex_);
        out.before = section_;
        out.turn = ++turns_;
    }
    const json &before = out.before;
    if (before.is_null() || before["export"] != section["export"]) {
        out.exporter = std::make_unique<Exporter>(destination_of(section));
        if (auto r = out.exporter->check(); !r)
            return r.error();
    }
    if (before.is_null() || !same_inspection(before, section)) {
        auto inspectors = make_inspectors(section);
        if (!inspectors)
            return inspectors.error();
        out.inspectors = *std::move(inspectors);
    }
    return out;
}

void Keeper::put_in_force(Prepared prepared)
{
    {
        const std::lock_guard lock(mutex_);
        if (prepared.turn < turn_)
            return;
        turn_ = prepared.turn;
    }
    if (prepared.before != section_) { // two changes in a moment
        auto again = prepare(prepared.section);
        if (!again)
            return log_error("edpi", again.error(), {{"vnf", "edpi"}});
        prepared = *std::move(again);
    }
    if (!prepared.inspectors.empty())
        flows_->set(std::move(prepared.inspectors));
    flows_->set(timeouts_of(prepared.section));
    if (section_.is_null() || !same_rules(section_, prepared.section))
        judge_by(prepared.section);
    const std::lock_guard lock(mutex_);
    section_ = std::move(prepared.section);
    if (prepared.exporter)
        exporter_ = std::move(prepared.exporter);
}

// A packet meets the old policy of its flow or the new one.
void Keeper::judge_by(const json &section)
{
    auto rules = Rules::make(policies_, section);
    if (!rules)
        return log_error("edpi", rules.error(), {{"vnf", "edpi"}});
    const auto numbers = rules->numbers();
    flows_->set(std::make_shared<const Rules>(*std::move(rules)));
    bpf::wait_for_packets_in_flight();
    policies_->retire_others(numbers);
}

void Keeper::run()
{
    std::unique_lock lock(mutex_);
    while (!changed_.wait_for(lock, sweep_every, [&] { return ending_; })) {
        lock.unlock();
        flows_->sweep(now_ns());
        lock.lock();
    }
}

bool Keeper::export_record(const json &record)
{
    bool taken = false;
    std::uint64_t lost = 0;
    {
        const std::lock_guard lock(mutex_);
        taken = exporter_->put(record);
        lost = exporter_->lost();
    }
    flows_->count_lost(lost);
    if (taken)
        feed_->put(record);
    return taken;
}

} // namespace evnf::edpi
