// SPDX-License-Identifier: GPL-2.0-or-later
// The plan of an offload as efw's tables have it, and what its decisions have counted.
#pragma once

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/bpf.hpp"
#include "match/compile.hpp"
#include "vnfs/efw/offload/plan.hpp"

namespace evnf::efw
{

// A plan's decisions as rules, in order, the first of which counts in that counter.
std::vector<match::Entry> entries_of(const offload::Plan &plan, std::uint32_t counter);

class Offloaded
{
public:
    using Counters = bpf::PerCpuCounters<counter>;

    explicit Offloaded(Counters counters) : counters_(counters) {}

    // The next plan, or none; its decisions count where those of the one before do not.
    void plan(std::shared_ptr<const offload::Plan> next);
    [[nodiscard]] std::shared_ptr<const offload::Plan> in_force() const { return plan_; }
    // Its decisions, in order.
    [[nodiscard]] std::vector<match::Entry> entries() const;
    // To be called when the tables with the plan are in force, and no packet meets the ones
    // before: what those counted goes to the rules of netfilter, and is kept.
    Result<> settle();

    // Each rule of netfilter with its state and what was counted for it.
    [[nodiscard]] nlohmann::json report() const;

private:
    using Totals = std::map<std::string, counter>;
    static std::string key_of(const offload::Origin &origin);
    void add_to(Totals &totals, const offload::Plan &plan, unsigned half) const;

    Counters counters_;
    std::shared_ptr<const offload::Plan> plan_, before_;
    unsigned half_ = 0; // of the counters: the one in use
    Totals totals_;     // of plans before, by key_of()
};

} // namespace evnf::efw
