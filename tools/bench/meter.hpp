// SPDX-License-Identifier: GPL-2.0-or-later
// Measures one program by BPF_PROG_TEST_RUN, every packet as it was first given.
#pragma once

#include <linux/bpf.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "bench/figures.hpp"
#include "bench/program.hpp"
#include "bench/rewind.h"
#include "bench/traffic.hpp"
#include "rewind.skel.h"

namespace evnf::bench
{

// On one CPU, as a queue's packets are; and where no route of this host's counts.
Result<> settle();

// What it took to open the connections, for each packet of that: the first, which is placed, and
// that by which the client shows that it has the backend's answer. Whole nanoseconds, gross.
struct Opening {
    double first = 0, last = 0;
};

class Meter
{
public:
    // Without a subject it measures the empty program. If the subject has
    // connections they are opened; and every flow must have gone its whole way once.
    static Result<Meter> prepare(std::shared_ptr<Program> subject, const Traffic &traffic);

    // REWIND_SAMPLES short samples. Other programs ran since the last ones, so the caches are
    // filled before by packets that are not measured: one of each flow.
    Result<> sample();
    // Whether all packets until now went the way that is measured.
    [[nodiscard]] Result<> check() const;
    [[nodiscard]] const std::vector<double> &samples() const { return samples_; }
    [[nodiscard]] const Opening &opening() const { return opening_; }

private:
    Meter(bpf::Skeleton<rewind_bpf> rewind, std::shared_ptr<Program> subject,
          const Traffic &traffic);
    Result<> all_flows();
    // These give the nanoseconds of a packet.
    Result<double> some_flows(std::uint8_t tcp_flags, unsigned flows);
    Result<double> run(unsigned packets, unsigned unmeasured);

    bpf::Skeleton<rewind_bpf> rewind_;
    std::shared_ptr<Program> subject_;
    Traffic traffic_;
    rewind_state state_{};
    Bytes frame_;
    std::vector<double> samples_;
    Opening opening_;
};

} // namespace evnf::bench
