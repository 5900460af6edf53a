// SPDX-License-Identifier: GPL-2.0-or-later
// One VNF's stage alone, with the packet put where the root would have put it: packets
// of any kind, whether or not a frame could be made of them.
#pragma once

#include <array>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "support/chain.hpp"
#include "vnfs/vnf.hpp"

namespace evnf::test
{

class StageBench
{
public:
    StageBench(const std::string &vnf, const json &section)
        : fast_path_(must(find_vnf(vnf)->load(maps_, section, nullptr))),
          next_(transmitter()),
          reasons_(must(bpf::PerCpuCounters<counter>::bind(maps_, "slot_counters"))),
          scratch_(must(bpf::possible_cpus()))
    {
        // By whatever output it leaves, it comes to the one program.
        auto successors = must(bpf::Map<__u32, __u32>::bind(maps_, "slot_next"));
        for (const __u32 key : successors.keys())
            must(successors.put(key, next_slot));
        auto programs = must(bpf::Map<__u32, __u32>::bind(maps_, "slot_programs"));
        must(programs.put(next_slot, static_cast<__u32>(next_.get())));
    }

    FastPath &fast_path() { return *fast_path_; }

    // What the program returned: XDP_TX if the packet went on.
    __u32 run(pkt p, unsigned repeat = 1)
    {
        p.slot = slot;
        for (auto &cpu : scratch_)
            std::memcpy(cpu.bytes, &p, sizeof p);
        const __u32 zero = 0;
        REQUIRE(bpf_map_update_elem(must(maps_.fd("pkt_scratch")), &zero, scratch_.data(), 0) == 0);
        return run_program(fast_path_->program(), repeat);
    }

    [[nodiscard]] counter reason(__u32 r) const
    {
        return reasons_.sum(slot * CHAIN_MAX_REASONS + r);
    }
    [[nodiscard]] __u64 packets() const
    {
        __u64 all = 0;
        for (__u32 r = 0; r < CHAIN_MAX_REASONS; ++r)
            all += reason(r).packets;
        return all;
    }

    // Runs it once: it must leave for `expected`, and be counted there.
    void check_packet(__u32 expected, const pkt &p)
    {
        const counter before = reason(expected);
        REQUIRE(run(p) == action_of(expected));
        REQUIRE(reason(expected).packets == before.packets + 1);
        REQUIRE(reason(expected).bytes == before.bytes + p.len);
    }

protected:
    static constexpr __u32 slot = 1;

    [[nodiscard]] bpf::MapSet &maps() { return maps_; }

    // Lets other programs hand packets to the stage.
    void put_stage()
    {
        auto programs = must(bpf::Map<__u32, __u32>::bind(maps_, "slot_programs"));
        must(programs.put(slot, static_cast<__u32>(fast_path_->program())));
    }

    static __u32 run_program(int program, unsigned repeat, __u32 *ns_each = nullptr)
    {
        std::array<char, 64> frame{};
        bpf_test_run_opts opts{};
        opts.sz = sizeof opts;
        opts.data_in = frame.data();
        opts.data_size_in = frame.size();
        opts.repeat = static_cast<int>(repeat);
        REQUIRE(bpf_prog_test_run_opts(program, &opts) == 0);
        if (ns_each)
            *ns_each = opts.duration;
        return opts.retval;
    }

private:
    static constexpr __u32 next_slot = 2;

    static Fd transmitter()
    {
        const std::array<bpf_insn, 2> code{
            bpf_insn{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_TX},
            bpf_insn{.code = BPF_JMP | BPF_EXIT}};
        // As of the stages: a prog array holds programs of one attach type.
        LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_XDP);
        Fd fd(bpf_prog_load(BPF_PROG_TYPE_XDP, "transmit", "GPL", code.data(), code.size(), &opts));
        REQUIRE(fd);
        return fd;
    }

    static __u32 action_of(__u32 reason)
    {
        switch (reason & VERDICT_MASK) {
        case VERDICT_NEXT:
            return XDP_TX;
        case VERDICT_SLOW:
            return XDP_PASS;
        default:
            return XDP_DROP;
        }
    }

    struct PerCpu { // the kernel rounds a value up to eight bytes
        alignas(8) char bytes[(sizeof(pkt) + 7) / 8 * 8];
    };
    bpf::MapSet maps_{""};
    std::unique_ptr<FastPath> fast_path_;
    Fd next_;
    bpf::PerCpuCounters<counter> reasons_;
    std::vector<PerCpu> scratch_;
};

} // namespace evnf::test
