// SPDX-License-Identifier: GPL-2.0-or-later
// What the fast path counts for each backend, by its id.
#pragma once

#include <vector>

#include "base/bpf.hpp"
#include "vnfs/elb/abi.h"
#include "vnfs/vnf.hpp"

namespace evnf::elb
{

class BackendCounts
{
public:
    static Result<BackendCounts> bind(const bpf::MapSet &maps);

    Result<> clear(unsigned backend);
    // As FastPath::show() has them.
    [[nodiscard]] json describe(unsigned backend) const;
    [[nodiscard]] json describe_affinity(unsigned backend) const;
    // Names without the part that all metrics of backends have, and without labels.
    [[nodiscard]] std::vector<Metric> metrics(unsigned backend, bool affinity) const;

private:
    using Counters = bpf::PerCpuCounters<elb_backend_counter>;
    using Events = bpf::PerCpuCounters<elb_backend_events>;

    using Choices = bpf::PerCpuCounters<elb_backend_choices>;

    BackendCounts(Counters counters, Events events, Choices choices)
        : counters_(counters),
          events_(events),
          choices_(choices)
    {
    }

    Counters counters_;
    Events events_;
    Choices choices_;
};

} // namespace evnf::elb
