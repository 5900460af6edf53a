// SPDX-License-Identifier: GPL-2.0-or-later
#include "bench/meter.hpp"

#include <sched.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "vnfs/table_reader.hpp"

namespace evnf::bench
{

namespace
{

// Of more flows than any cache holds, each packet is as the first.
constexpr unsigned most_to_warm = 100'000;
// Connections that may be opening at once in every case.
constexpr unsigned least_opening = 2048;
constexpr std::uint8_t tcp_syn = 0x02, tcp_ack = 0x10;

// Far from one packet to the next, so that no prefetcher guesses the flow, and to every
// flow once before any twice.
unsigned stride_over(unsigned flows)
{
    if (flows < 3)
        return flows - 1;
    auto stride = static_cast<unsigned>(0.618 * flows);
    while (std::gcd(stride, flows) != 1)
        ++stride;
    return stride;
}

} // namespace

Result<> settle()
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<unsigned>(::sched_getcpu()), &one);
    if (::sched_setaffinity(0, sizeof one, &one))
        return sys_error("stay on one CPU");
    if (::unshare(CLONE_NEWNET))
        return sys_error("make a network namespace (this needs root)");
    return Unit{};
}

Meter::Meter(bpf::Skeleton<rewind_bpf> rewind, std::shared_ptr<Program> subject,
             const Traffic &traffic)
    : rewind_(std::move(rewind)),
      subject_(std::move(subject)),
      traffic_(traffic)
{
}

Result<Meter> Meter::prepare(std::shared_ptr<Program> subject, const Traffic &traffic)
{
    bpf::MapSet maps("");
    auto rewind = bpf::Skeleton<rewind_bpf>::load(maps);
    if (!rewind)
        return rewind.error();
    auto target = bpf::Map<__u32, __u32>::bind(maps, "rewind_target");
    if (!target)
        return target.error();
    const int program = subject ? subject->entry() : bpf_program__fd((*rewind)->progs.empty);
    if (auto r = target->put(0, static_cast<__u32>(program)); !r)
        return std::move(r).context("put the program behind rewind").error();

    Meter meter(*std::move(rewind), std::move(subject), traffic);
    if (traffic.opening) {
        if (auto r = meter.some_flows(tcp_syn, traffic.flows); !r)
            return r.error();
        return meter;
    }
    if (auto r = meter.all_flows(); !r)
        return r.error();
    if (auto r = meter.check(); !r)
        return r.error();
    return meter;
}

// One after another, and fewer at once than may be opening: each has its first packet, if there
// are connections an answer, and one of those that are measured.
Result<> Meter::all_flows()
{
    const bool connections = subject_ && subject_->connections();
    const unsigned at_once =
        connections ? std::max(least_opening, traffic_.flows / 16) : traffic_.flows;
    double first = 0, last = 0; // nanoseconds of all
    for (unsigned left = traffic_.flows; left > 0;) {
        const unsigned some = std::min(left, at_once), begin = state_.flow;
        double ns = 0;
        if (connections) {
            if (auto r = take(ns, some_flows(tcp_syn, some)); !r)
                return r;
            first += ns * some;
            if (auto r = subject_->answer_all(); !r)
                return r;
            subject_->opened(some);
            state_.flow = begin;
        }
        if (auto r = take(ns, some_flows(tcp_ack, some)); !r)
            return r;
        last += ns * some;
        left -= some;
    }
    opening_ = {first / traffic_.flows, last / traffic_.flows};
    return Unit{};
}

// A packet of each of the next flows, with these flags, as have all after it.
Result<double> Meter::some_flows(std::uint8_t tcp_flags, unsigned flows)
{
    frame_ = build(frame_of(traffic_, tcp_flags));
    std::memcpy(state_.head, frame_.data(), std::min(sizeof state_.head, frame_.size()));
    state_.len = static_cast<__u32>(frame_.size());
    state_.flows = traffic_.flows;
    state_.stride = stride_over(traffic_.flows);
    return run(flows, flows);
}

Result<double> Meter::run(unsigned packets, unsigned unmeasured)
{
    auto states = bpf::Map<__u32, rewind_state>::bind(bpf_map__fd(rewind_->maps.rewind_states));
    if (!states)
        return states.error();
    state_.until = unmeasured;
    state_.looks = 0;
    if (auto r = states->put(0, state_); !r)
        return r.error();
    LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = frame_.data(),
                .data_size_in = static_cast<__u32>(frame_.size()),
                .repeat = static_cast<int>(packets));
    if (const int err = bpf_prog_test_run_opts(bpf_program__fd(rewind_->progs.rewind_frame), &o))
        return sys_error("test run", err);
    state_.flow = states->get(0)->flow;
    unsigned expected = XDP_DROP;
    if (subject_) {
        subject_->sent(packets);
        expected = subject_->verdict();
    }
    if (o.retval != expected)
        return Error{.what = "the verdict is " + std::to_string(o.retval) + " instead of " +
                             std::to_string(expected)};
    return static_cast<double>(o.duration);
}

Result<> Meter::sample()
{
    const unsigned unmeasured = std::clamp(traffic_.flows, 10U * REWIND_PACKETS, most_to_warm);
    // The last packet ends the last sample.
    if (auto r = run(unmeasured + REWIND_SAMPLES * REWIND_PACKETS + 1, unmeasured); !r)
        return r.error();
    auto taken = bpf::Map<__u32, rewind_samples>::bind(bpf_map__fd(rewind_->maps.rewind_taken));
    if (!taken)
        return taken.error();
    const auto got = taken->get(0);
    if (!got)
        return sys_error("read the samples");
    for (const __u64 ns : got->ns)
        samples_.push_back(static_cast<double>(ns) / REWIND_PACKETS);
    return Unit{};
}

Result<> Meter::check() const
{
    return subject_ ? subject_->check() : Result<>(Unit{});
}

} // namespace evnf::bench
