// SPDX-License-Identifier: GPL-2.0-or-later
// How many connections each backend has now, as the fast path counts them (active.h).
#pragma once

#include <vector>

#include "base/bpf.hpp"
#include "vnfs/elb/abi.h"

namespace evnf::elb
{

class Active
{
public:
    static Result<Active> bind(const bpf::MapSet &maps);

    // Established connections that neither side has ended.
    [[nodiscard]] std::uint64_t count(unsigned backend) const;
    // One has been forgotten.
    void ends(unsigned backend);

    // Each look at all of the connections mends the counts, which have missed those of before
    // they were, and what two CPUs did at once: found() for each, then all_found(). What came
    // and went meanwhile explains a difference, of which only the rest is mended.
    void found(unsigned backend) { ++found_[backend]; }
    void all_found();

private:
    explicit Active(bpf::Mapping mapping);
    void begin();
    [[nodiscard]] elb_active now(unsigned backend) const;
    [[nodiscard]] elb_active *at(unsigned backend) const
    {
        return reinterpret_cast<elb_active *>(mapping_.data()) + backend;
    }

    bpf::Mapping mapping_;
    std::vector<elb_active> before_;
    std::vector<std::uint64_t> found_;
};

} // namespace evnf::elb
