// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/explain/rehearsal.hpp"

#include <bpf/bpf.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "abi/copy.h"
#include "abi/match.h"
#include "efw.skel.h"
#include "match/store.hpp"
#include "root.skel.h"
#include "vnfs/efw/explain/look.hpp"
#include "vnfs/efw/explain/observed.hpp"
#include "vnfs/efw/offloaded.hpp"
#include "vnfs/efw/tables.hpp"

namespace evnf::efw
{

namespace
{

constexpr __u32 root_slot = 1, efw_slot = 2, slots = 3; // nothing follows efw
constexpr __u32 buckets = 4096;                         // one packet asks for few
constexpr __u32 ring_bytes = 4096;                      // nobody listens to events
constexpr std::uint32_t depth = 2;                      // PARSE_TRANSPORT, of lib/parse.h

// The first `size` counters of a per-CPU array.
class Counts
{
public:
    static Result<Counts> bind(const bpf::MapSet &maps, const std::string &name, __u32 size)
    {
        auto counters = bpf::PerCpuCounters<counter>::bind(maps, name);
        auto fd = maps.fd(name);
        auto cpus = bpf::possible_cpus();
        if (!counters || !fd || !cpus)
            return !counters ? counters.error() : !fd ? fd.error() : cpus.error();
        return Counts(*counters, *fd, *cpus, size);
    }

    // Those that have counted since the last time.
    Result<std::vector<__u32>> take()
    {
        std::vector<__u32> keys(size_), out;
        std::vector<counter> values(size_ * cpus_);
        __u32 next = 0, count = size_;
        LIBBPF_OPTS(bpf_map_batch_opts, opts);
        if (bpf_map_lookup_batch(fd_, nullptr, &next, keys.data(), values.data(), &count, &opts) &&
            errno != ENOENT) // ENOENT: there are no more
            return sys_error("read counters");
        for (__u32 i = 0; i < count; ++i) {
            const auto first = values.begin() + static_cast<std::ptrdiff_t>(i * cpus_);
            if (std::all_of(first, first + static_cast<std::ptrdiff_t>(cpus_),
                            [](const counter &c) { return c.packets == 0; }))
                continue;
            out.push_back(keys[i]);
            if (auto r = counters_.clear(keys[i]); !r)
                return r.error();
        }
        return out;
    }

private:
    Counts(bpf::PerCpuCounters<counter> counters, int fd, std::size_t cpus, __u32 size)
        : counters_(counters),
          fd_(fd),
          cpus_(cpus),
          size_(size)
    {
    }
    bpf::PerCpuCounters<counter> counters_;
    int fd_;
    std::size_t cpus_;
    __u32 size_;
};

// A rule's counter is its place and one.
std::vector<SectionRule> renumbered(const json &section)
{
    auto out = ordered_rules(section);
    for (std::uint32_t i = 0; i < out.size(); ++i)
        out[i].counter = i + 1;
    return out;
}

} // namespace

class Rehearsal::Copy
{
public:
    Copy(const json &section, const Live &live)
        : section_(section),
          live_(live),
          rules_(renumbered(section))
    {
    }

    Result<> load()
    {
        auto tables = tables_of(rules_, offloaded(), section_);
        if (!tables)
            return tables.error();
        if (auto r = prepare(tables->size() * sizeof(match_cell)); !r)
            return r;
        maps_.set_constant("place_slot", root_slot);
        maps_.set_constant("place_next", efw_slot);
        maps_.set_constant("root_depth", depth);
        maps_.set_constant("root_port", EXIT_PORTS);
        auto root = bpf::Skeleton<root_bpf>::load(maps_);
        if (!root)
            return root.error();
        root_.emplace(*std::move(root));
        maps_.set_constant("place_slot", efw_slot);
        maps_.set_constant("place_next", 0);
        auto stage = bpf::Skeleton<efw_bpf>::load(maps_);
        if (!stage)
            return stage.error();
        stage_.emplace(*std::move(stage));
        return fill(*std::move(tables));
    }

    Result<Outcome> run(std::span<const std::uint8_t> frame, const Arrival &arrival)
    {
        xdp_md context{};
        context.data_end = static_cast<__u32>(frame.size());
        context.ingress_ifindex = arrival.ifindex;
        LIBBPF_OPTS(bpf_test_run_opts, opts);
        opts.data_in = frame.data();
        opts.data_size_in = static_cast<__u32>(frame.size());
        opts.ctx_in = &context;
        opts.ctx_size_in = sizeof context;
        if (auto r = clear_scratch(); !r)
            return r.error();
        if (bpf_prog_test_run_opts(bpf_program__fd((*root_)->progs.root), &opts))
            return sys_error("run the packet");
        return outcome(arrival.interface);
    }

    [[nodiscard]] const std::vector<SectionRule> &rules() const { return rules_; }

private:
    using PerCpuPkt = std::array<std::uint8_t, (sizeof(pkt) + 7) / 8 * 8>;

    // Each decision of the plan counts in the counter of its place.
    [[nodiscard]] std::vector<match::Entry> offloaded() const
    {
        return live_.plan ? entries_of(*live_.plan, 0) : std::vector<match::Entry>();
    }
    [[nodiscard]] __u32 decisions() const
    {
        const std::size_t n = live_.plan ? live_.plan->decisions.size() : 0;
        return static_cast<__u32>(std::max<std::size_t>(n, 1));
    }

    Result<> prepare(std::size_t bytes)
    {
        if (auto r = match::prepare(maps_, bytes, 1); !r) // its sets are those in force
            return r;
        if (auto r = match::remember_little(maps_); !r)
            return r;
        maps_.set_constant("match_column", MATCH_ANSWERS); // each packet asks the rules
        maps_.set_size("efw_counters", static_cast<__u32>(rules_.size() + 1));
        maps_.set_size("efw_offload_counters", decisions());
        maps_.set_size("efw_buckets", buckets);
        maps_.set_size("traces", ring_bytes);
        maps_.set_size("events", ring_bytes);
        if (auto r = maps_.lend("match_sets", live_.sets.elements); !r)
            return r;
        if (auto r = maps_.lend("match_set_lengths", live_.sets.lengths); !r)
            return r;
        if (live_.lease < 0)
            return Unit{};
        if (auto r = maps_.lend("efw_offload", live_.lease); !r)
            return r;
        return maps_.lend("efw_offload_links", live_.links);
    }

    Result<> fill(match::Tables tables)
    {
        auto store = match::Store::bind(maps_);
        if (!store)
            return store.error();
        if (auto r = store->put(std::move(tables)); !r)
            return r;
        auto programs = bpf::Map<__u32, __u32>::bind(maps_, "slot_programs");
        auto reasons = Counts::bind(maps_, "slot_counters", slots * CHAIN_MAX_REASONS);
        auto counts = Counts::bind(maps_, "efw_counters", static_cast<__u32>(rules_.size() + 1));
        auto offloads = Counts::bind(maps_, "efw_offload_counters", decisions());
        auto limits = bpf::Map<efw_bucket_key, __u64>::bind(maps_, "efw_buckets");
        auto cpus = bpf::possible_cpus();
        if (!programs || !reasons || !counts || !offloads || !limits || !cpus)
            return sys_error("read the copy's maps", EIO);
        reasons_.emplace(*reasons);
        counts_.emplace(*counts);
        offloads_.emplace(*offloads);
        buckets_.emplace(*limits);
        scratch_.resize(*cpus);
        return programs->put(efw_slot, static_cast<__u32>(bpf_program__fd((*stage_)->progs.efw)));
    }

    // Nobody says on which CPU the program will run: that one has a packet afterwards.
    Result<> clear_scratch()
    {
        std::fill(scratch_.begin(), scratch_.end(), PerCpuPkt{});
        const __u32 zero = 0;
        auto fd = maps_.fd("pkt_scratch");
        if (!fd)
            return fd.error();
        if (bpf_map_update_elem(*fd, &zero, scratch_.data(), BPF_ANY))
            return sys_error("clear the last packet");
        return Unit{};
    }

    Result<pkt> found()
    {
        const __u32 zero = 0;
        auto fd = maps_.fd("pkt_scratch");
        if (!fd)
            return fd.error();
        if (bpf_map_lookup_elem(*fd, &zero, scratch_.data()))
            return sys_error("read the packet");
        pkt out{};
        for (const auto &each : scratch_) {
            std::memcpy(&out, each.data(), sizeof out);
            if (out.len)
                break;
        }
        return out;
    }

    Result<Outcome> outcome(const std::string &interface)
    {
        auto reasons = reasons_->take();
        auto counts = counts_->take();
        auto offloads = offloads_->take();
        auto seen = found();
        if (!reasons || !counts || !offloads || !seen)
            return !reasons    ? reasons.error()
                   : !counts   ? counts.error()
                   : !offloads ? offloads.error()
                               : seen.error();
        Outcome out;
        for (const __u32 index : *reasons) {
            const unsigned reason = index % CHAIN_MAX_REASONS;
            out.met = index / CHAIN_MAX_REASONS == efw_slot;
            // What goes on from efw finds nothing there, which is counted too.
            if (!out.met || reason != DROP_NO_STAGE)
                out.decision.reason = reason;
        }
        if (!out.met)
            return out;
        out.packet = packet_of(*seen, interface);
        if (out.packet)
            out.packet->sets = sets_with(*seen, rules_, section_, live_.sets);
        decide(*counts, out);
        decide_offloaded(*offloads, out);
        return out;
    }

    void decide(const std::vector<__u32> &counts, Outcome &out)
    {
        Decision &d = out.decision;
        for (const __u32 counter : counts) {
            if (counter == default_counter)
                d.rule = static_cast<std::uint32_t>(rules_.size());
            else if (rules_[counter - 1].rule.action == EFW_COUNT)
                d.counted.push_back(counter - 1);
            else
                d.rule = counter - 1;
        }
        for (const auto &key : buckets_->keys()) {
            d.limits.push_back(key.counter - 1);
            buckets_->erase(key);
        }
        std::sort(d.limits.begin(), d.limits.end());
        // The program does not say which rule it was that asked for what is hidden.
        if ((d.reason == SLOW_FRAGMENT || d.reason == SLOW_L4_UNKNOWN) && out.packet)
            for (std::uint32_t i = 0; i < rules_.size() && !d.rule; ++i)
                if (look(rules_[i].rule.match, *out.packet) == Seen::unseen)
                    d.rule = i;
    }

    // Those decisions that netfilter carries out count nothing.
    void decide_offloaded(const std::vector<__u32> &counts, Outcome &out) const
    {
        Decision &d = out.decision;
        if (!counts.empty())
            d.offloaded = counts.front();
        if (d.rule || d.offloaded || !live_.plan || !out.packet || d.reason == EFW_SLOW_STEPS)
            return;
        const auto &all = live_.plan->decisions;
        const auto first = std::ranges::find_if(all, [&](const offload::Decision &each) {
            return look(each.rule.match, *out.packet) != Seen::no;
        });
        if (first != all.end())
            d.offloaded = static_cast<std::uint32_t>(first - all.begin());
    }

    json section_;
    Live live_;
    std::vector<SectionRule> rules_;
    bpf::MapSet maps_{""};
    std::optional<bpf::Skeleton<root_bpf>> root_;
    std::optional<bpf::Skeleton<efw_bpf>> stage_;
    std::optional<Counts> reasons_, counts_, offloads_;
    std::optional<bpf::Map<efw_bucket_key, __u64>> buckets_;
    std::vector<PerCpuPkt> scratch_;
};

Rehearsal::Rehearsal(std::unique_ptr<Copy> copy) : copy_(std::move(copy)) {}
Rehearsal::~Rehearsal() = default;
Rehearsal::Rehearsal(Rehearsal &&other) noexcept = default;

Result<Rehearsal> Rehearsal::load(const json &section, const Live &live)
{
    auto copy = std::make_unique<Copy>(section, live);
    if (auto r = copy->load(); !r)
        return std::move(r).context("load a copy of the fast path").error();
    return Rehearsal(std::move(copy));
}

Result<Outcome> Rehearsal::run(std::span<const std::uint8_t> frame, const Arrival &arrival)
{
    return copy_->run(frame, arrival);
}

const std::vector<SectionRule> &Rehearsal::rules() const
{
    return copy_->rules();
}

} // namespace evnf::efw
