// SPDX-License-Identifier: GPL-2.0-or-later
// efw's program with many packets at a time, and what it has counted of them.
#pragma once

#include <numeric>
#include <span>

#include "feeder.skel.h"
#include "support/stage_bench.hpp"
#include "vnfs/efw/abi.h"
#include "vnfs/efw/set_elements.hpp"

namespace evnf::test
{

class EfwBench : public StageBench
{
public:
    static constexpr std::size_t most_packets = 16384; // in one run

    explicit EfwBench(const json &section)
        : StageBench("efw", section),
          counters_(must(bpf::PerCpuCounters<counter>::bind(maps(), "efw_counters"))),
          feeder_(must(bpf::Skeleton<feeder_bpf>::load(
              maps(), [](feeder_bpf &f) { bpf_map__set_max_entries(f.maps.feed, most_packets); }))),
          next_(must(bpf::Map<__u32, __u32>::bind(maps(), "feed_next")))
    {
        put_stage();
        // Repetitions of one run may go from CPU to CPU, but the packets are of one.
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(0, &one);
        REQUIRE(::sched_setaffinity(0, sizeof one, &one) == 0);
    }

    [[nodiscard]] counter rule(__u32 index) const { return counters_.sum(index); }

    // Whatever is counted anywhere.
    [[nodiscard]] __u64 counted() const
    {
        __u64 all = 0;
        for (__u32 i = 0; i < EFW_COUNTERS; ++i)
            all += rule(i).packets;
        return all;
    }

    [[nodiscard]] efw::SetElements sets() { return must(efw::SetElements::bind(maps())); }

    [[nodiscard]] Result<int> fd_of(const std::string &map) { return maps().fd(map); }

    // What one takes, in ns, with the program that hands them over.
    [[nodiscard]] unsigned ns_each(std::span<const pkt> packets)
    {
        __u32 ns = 0;
        run_all(packets, &ns);
        return ns;
    }

    void run_all(std::span<const pkt> packets, __u32 *ns_each = nullptr)
    {
        REQUIRE(packets.size() <= most_packets);
        if (packets.empty())
            return;
        std::vector<pkt> values(packets.begin(), packets.end());
        for (auto &p : values)
            p.slot = slot;
        std::vector<__u32> keys(values.size());
        std::iota(keys.begin(), keys.end(), 0U);
        auto count = static_cast<__u32>(keys.size());
        REQUIRE(bpf_map_update_batch(bpf_map__fd(feeder_->maps.feed), keys.data(), values.data(),
                                     &count, nullptr) == 0);
        must(next_.put(0, 0));
        run_program(bpf_program__fd(feeder_->progs.feeder), count, ns_each);
        REQUIRE(next_.get(0) == count);
    }

private:
    bpf::PerCpuCounters<counter> counters_;
    bpf::Skeleton<feeder_bpf> feeder_;
    bpf::Map<__u32, __u32> next_;
};

} // namespace evnf::test
