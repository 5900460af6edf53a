// SPDX-License-Identifier: GPL-2.0-or-later
// probe for the daemon: what its stage and its workers have seen.
#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include "probe.skel.h"
#include "tests/vnfs/probe/abi.h"
#include "vnfs/vnf.hpp"

namespace evnf::probe
{

namespace
{

using Skeleton = bpf::Skeleton<probe_bpf>;
using Visits = bpf::Map<__u32, probe_visit>;

// What the workers of one instance have seen.
struct Seen {
    std::mutex mutex;
    std::map<unsigned, unsigned> copies, held; // by id
    std::atomic<unsigned> delay_us = 0;
};

constexpr std::size_t payload_at = 14 + 20 + 8;

class ProbeWorker : public PacketWorker
{
public:
    ProbeWorker(Seen &seen, unsigned index) : seen_(seen), index_(index) {}
    bool handle(const SlowPacket &packet) override
    {
        if (const unsigned us = seen_.delay_us)
            std::this_thread::sleep_for(std::chrono::microseconds(us));
        if (packet.frame.size() < payload_at + 4 + index_)
            return true;
        const auto *at = packet.frame.data() + payload_at;
        const unsigned id = static_cast<unsigned>(at[0]) << 24 |
                            static_cast<unsigned>(at[1]) << 16 | static_cast<unsigned>(at[2]) << 8 |
                            at[3];
        const std::lock_guard lock(seen_.mutex);
        ++(packet.held ? seen_.held : seen_.copies)[id];
        return at[4 + index_] != PROBE_REFUSE;
    }

private:
    Seen &seen_;
    unsigned index_;
};

class ProbeFastPath : public FastPath
{
public:
    ProbeFastPath(Skeleton skel, Visits visits) : skel_(std::move(skel)), visits_(visits) {}

    [[nodiscard]] int program() const override { return bpf_program__fd(skel_->progs.probe); }

    Result<> apply(const json &section) override
    {
        const __u32 zero = 0;
        index_ = section["index"];
        seen_.delay_us = section["delay_us"];
        if (bpf_map__update_elem(skel_->maps.probe_index, &zero, sizeof zero, &index_,
                                 sizeof index_, BPF_ANY))
            return sys_error("set the index");
        return Unit{};
    }

    [[nodiscard]] json show(const json &section) const override
    {
        json visits = json::object();
        for (const __u32 id : visits_.keys())
            if (const auto v = visits_.get(id))
                visits[std::to_string(id)] = {v->count, v->in_tc, v->last_ns};
        json copies = json::object(), held = json::object();
        const std::lock_guard lock(seen_.mutex);
        for (const auto &[id, n] : seen_.copies)
            copies[std::to_string(id)] = n;
        for (const auto &[id, n] : seen_.held)
            held[std::to_string(id)] = n;
        return {
            {"index", section["index"]}, {"visits", visits}, {"copies", copies}, {"held", held}};
    }
    [[nodiscard]] std::vector<Metric> metrics(const json &) const override { return {}; }
    [[nodiscard]] std::unique_ptr<PacketWorker> make_worker() override
    {
        return std::make_unique<ProbeWorker>(seen_, index_);
    }

private:
    Skeleton skel_;
    Visits visits_;
    __u32 index_ = 0;
    mutable Seen seen_;
};

Result<std::unique_ptr<FastPath>> load(bpf::MapSet &maps, const json &section, const json &)
{
    auto skel = Skeleton::load(maps);
    if (!skel)
        return skel.error();
    auto visits = Visits::bind(maps, "probe_visits");
    if (!visits)
        return visits.error();
    auto fast_path = std::make_unique<ProbeFastPath>(*std::move(skel), *visits);
    if (auto r = fast_path->apply(section); !r)
        return r.error();
    return std::unique_ptr<FastPath>(std::move(fast_path));
}

Result<json> check(const json &section, const json &)
{
    const json given = section.is_null() ? json::object() : section;
    return json{{"index", given.value("index", 0)}, {"delay_us", given.value("delay_us", 0)}};
}

// Tests of migration choose.
unsigned state_version()
{
    const char *version = std::getenv("PROBE_STATE_VERSION");
    return version ? static_cast<unsigned>(std::atoi(version)) : VnfType::first_state;
}

// Version 2 counts visits from 1000.
Result<> migrate(unsigned, const std::string &, int old_fd, int new_fd)
{
    auto from = Visits::bind(old_fd);
    auto to = Visits::bind(new_fd);
    for (const __u32 id : from->keys())
        if (auto v = from->get(id)) {
            v->count += 1000;
            if (auto r = to->put(id, *v, BPF_NOEXIST); !r && r.error().code != EEXIST)
                return r;
        }
    return Unit{};
}
const std::function<Result<>(unsigned, const std::string &, int, int)> no_migration;

const VnfType type{.name = "probe",
                   .descriptor = {.payload = Access::read, .drops = true, .copies = true},
                   .reasons = {PROBE_REASONS(EVNF_REASON_ROW)},
                   .routes = {},
                   .check = check,
                   .diff = [](const json &from, const json &to) -> std::vector<std::string> {
                       if (from == to || (from.is_null() && to == *check(nullptr, nullptr)))
                           return {};
                       return {"~ probe " + to.dump()};
                   },
                   .load = load,
                   .state_version = state_version(),
                   .migrate = state_version() == 2 ? migrate : no_migration};
const Registration registration(type);

} // namespace

} // namespace evnf::probe
