// SPDX-License-Identifier: GPL-2.0-or-later
// A chain of real programs, run by BPF_PROG_TEST_RUN.
#pragma once

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sched.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <functional>
#include <optional>
#include <vector>

#include "abi/chain.h"
#include "abi/pkt.h"
#include "base/bpf.hpp"
#include "forward.skel.h"
#include "recorder.skel.h"
#include "root.skel.h"
#include "support/frame.hpp"

namespace evnf::test
{

// The value, or the test fails with the error.
template <class T>
T must(Result<T> r)
{
    if (!r)
        FAIL(r.error().message());
    return *std::move(r);
}

struct Ran {
    unsigned verdict; // XDP_*
    Bytes out;
    pkt seen; // struct pkt as the last program left it
};

constexpr unsigned root_at = 1, stage_at = 2, last_at = 3; // slots

// root -> [stage] -> recorder or forwarder. Fresh maps for each object.
class ChainFixture
{
public:
    ChainFixture() : forward_(must(bpf::Skeleton<forward_bpf>::load(maps)))
    {
        // Per-CPU maps are read back from the CPU that the programs ran on.
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(0, &one);
        REQUIRE(::sched_setaffinity(0, sizeof one, &one) == 0);
        recorder_.emplace(must(bpf::Skeleton<recorder_bpf>::load(maps)));
        counters_.emplace(must(bpf::PerCpuCounters<counter>::bind(maps, "slot_counters")));
        scratch_ = must(maps.fd("pkt_scratch"));
        load_root({});
        end_with_recorder();
        link(root_at, last_at);
    }

    void load_root(const std::function<void(root_bpf &)> &prepare)
    {
        root_.emplace(must(bpf::Skeleton<root_bpf>::load(maps, [&](root_bpf &r) {
            r.rodata->place_slot = root_at;
            if (prepare)
                prepare(r);
        })));
    }
    void end_with_recorder() { put(last_at, program(recorder_->operator->()->progs.recorder)); }
    void end_with(const bpf_program *p) { put(last_at, program(p)); }
    // Puts a stage between the root and the end.
    void add_stage(int program_fd)
    {
        put(stage_at, program_fd);
        link(root_at, stage_at);
        link(stage_at, last_at);
    }
    void link(__u32 from, __u32 to)
    {
        auto next = must(bpf::Map<__u32, __u32>::bind(maps, "slot_next"));
        for (__u32 output = 0; output < CHAIN_OUTPUTS; ++output)
            must(next.put(from * CHAIN_OUTPUTS + output, to));
    }

    Ran run(const Bytes &in, unsigned ifindex = 0)
    {
        Ran r{0, Bytes(in.size() + 64), {}};
        xdp_md ctx{};
        ctx.data_end = static_cast<__u32>(in.size());
        ctx.ingress_ifindex = ifindex;
        LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = in.data(), .data_out = r.out.data(),
                    .data_size_in = static_cast<__u32>(in.size()),
                    .data_size_out = static_cast<__u32>(r.out.size()));
        if (ifindex) {
            o.ctx_in = &ctx;
            o.ctx_size_in = sizeof ctx;
        }
        const int err = bpf_prog_test_run_opts(program(root_->operator->()->progs.root), &o);
        if (err)
            FAIL("test run: " << std::strerror(-err));
        r.verdict = o.retval;
        r.out.resize(o.data_size_out);
        std::vector<std::array<std::uint8_t, (sizeof(pkt) + 7) / 8 * 8>> each(
            must(bpf::possible_cpus()));
        const __u32 zero = 0;
        if (bpf_map_lookup_elem(scratch_, &zero, each.data()))
            FAIL("read pkt_scratch");
        std::memcpy(&r.seen, each[0].data(), sizeof r.seen); // of CPU 0, where this thread is
        return r;
    }

    // Packets that left `slot` for `reason` since the last look at it.
    std::uint64_t left(unsigned slot, unsigned reason)
    {
        const __u32 index = slot * CHAIN_MAX_REASONS + reason;
        const auto packets = counters_->sum(index).packets;
        must(counters_->clear(index));
        return packets;
    }

    int root_program() { return program(root_->operator->()->progs.root); }
    forward_bpf &forward() { return *forward_.operator->(); }
    static int program(const bpf_program *p) { return bpf_program__fd(p); }

    bpf::MapSet maps{""};

private:
    void put(__u32 slot, int fd)
    {
        must(must(bpf::Map<__u32, __u32>::bind(maps, "slot_programs"))
                 .put(slot, static_cast<__u32>(fd)));
    }

    bpf::Skeleton<forward_bpf> forward_;
    std::optional<bpf::Skeleton<recorder_bpf>> recorder_;
    std::optional<bpf::Skeleton<root_bpf>> root_;
    std::optional<bpf::PerCpuCounters<counter>> counters_;
    int scratch_ = -1;
};

} // namespace evnf::test
