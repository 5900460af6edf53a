// SPDX-License-Identifier: GPL-2.0-or-later
// The plan of an offload as efw's tables have it, and what its decisions have counted.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/bpf.hpp"
#include "match/compile.hpp"
#include "vnfs/efw/offload/plan.hpp"
#include "vnfs/efw/offload_totals.hpp"

namespace evnf::efw
{

// A plan's decisions as rules, in order, the first of which counts in that counter.
std::vector<match::Entry> entries_of(const offload::Plan &plan, std::uint32_t counter);

class Offloaded
{
public:
    using Counters = bpf::PerCpuCounters<counter>;

    explicit Offloaded(Counters counters) : counters_(counters) {}
    Offloaded(const Offloaded &) = delete;
    Offloaded &operator=(const Offloaded &) = delete;
    ~Offloaded(); // no packet meets its tables any more: what they counted is kept

    // The next plan, or none; its decisions count where those of the one before do not.
    void plan(std::shared_ptr<const offload::Plan> next);
    // The one in force, or the next.
    [[nodiscard]] std::shared_ptr<const offload::Plan> plan() const;
    // Its decisions, in order.
    [[nodiscard]] std::vector<match::Entry> entries() const;
    // To be called when the tables with the plan are in force, and no packet meets the ones
    // before: what those counted goes to the rules of netfilter, and is kept.
    Result<> settle();

    // What was counted before, and where it is kept: see FastPath.
    Result<> restore(const std::string &folder);
    Result<> keep();

    // What was counted for each rule of netfilter so far.
    [[nodiscard]] OffloadTotals::Totals totals() const;
    // The part of it that is in the counters. With OffloadTotals::mutex.
    void add_to(OffloadTotals::Totals &totals) const;

private:
    void add_to(OffloadTotals::Totals &totals, const offload::Plan &plan, unsigned half) const;
    void forget_rules_that_are_gone();

    Counters counters_;
    std::shared_ptr<OffloadTotals> totals_ = std::make_shared<OffloadTotals>();
    // With its mutex:
    std::shared_ptr<const offload::Plan> plan_, before_;
    unsigned half_ = 0; // of the counters: the one in use
};

} // namespace evnf::efw
