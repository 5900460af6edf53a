// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/offloaded.hpp"

#include <algorithm>

#include "vnfs/efw/abi.h"

namespace evnf::efw
{

namespace
{

__u32 counter_of(unsigned half, std::size_t decision)
{
    return half * EFW_MAX_DECISIONS + static_cast<__u32>(decision);
}

void add(counter &to, const counter &more)
{
    to.packets += more.packets;
    to.bytes += more.bytes;
}

// The rules that a decision's packets count for: those whose counters they would have moved,
// and the one that decides, if it has no counter.
std::vector<std::uint32_t> counted_by(const offload::Plan &plan, const offload::Decision &d)
{
    std::vector<std::uint32_t> out = d.counts;
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
    if (d.decider != offload::no_origin && !plan.origins[d.decider].counted)
        out.push_back(d.decider);
    return out;
}

} // namespace

Offloaded::~Offloaded()
{
    const std::scoped_lock lock(totals_->mutex);
    totals_->sources.erase(this);
    add_to(totals_->past);
}

void Offloaded::plan(std::shared_ptr<const offload::Plan> next)
{
    const std::scoped_lock lock(totals_->mutex);
    totals_->sources.insert(this);
    before_ = std::exchange(plan_, std::move(next));
    half_ ^= 1;
}

std::shared_ptr<const offload::Plan> Offloaded::plan() const
{
    const std::scoped_lock lock(totals_->mutex);
    return plan_;
}

std::vector<match::Entry> entries_of(const offload::Plan &plan, std::uint32_t counter)
{
    std::vector<match::Entry> out;
    for (const auto &d : plan.decisions) {
        match_rule rule{};
        rule.action = d.rule.action;
        rule.options = static_cast<__u16>(EFW_OFFLOADED | d.conditions << EFW_CONDITIONS_SHIFT);
        rule.counter = counter++;
        out.push_back({d.rule.match, rule});
    }
    return out;
}

std::vector<match::Entry> Offloaded::entries() const
{
    const std::scoped_lock lock(totals_->mutex);
    return plan_ ? entries_of(*plan_, counter_of(half_, 0)) : std::vector<match::Entry>();
}

void Offloaded::add_to(OffloadTotals::Totals &totals, const offload::Plan &plan,
                       unsigned half) const
{
    for (std::size_t i = 0; i < plan.decisions.size(); ++i) {
        const auto &d = plan.decisions[i];
        if (d.rule.action == EFW_SLOW)
            continue;
        const counter c = counters_.sum(counter_of(half, i));
        if (c.packets == 0)
            continue;
        for (const auto origin : counted_by(plan, d))
            add(totals[key_of(plan.origins[origin])].count, c);
    }
}

void Offloaded::add_to(OffloadTotals::Totals &totals) const
{
    if (plan_)
        add_to(totals, *plan_, half_);
    if (before_)
        add_to(totals, *before_, half_ ^ 1);
}

// A rule that comes back later, as a new one, begins with nothing, as its counter does. And
// of those that are there, the fast path may have counted some when the daemon was killed.
void Offloaded::forget_rules_that_are_gone()
{
    if (!plan_)
        return;
    std::set<std::string> there;
    for (const auto &o : plan_->origins)
        there.insert(key_of(o));
    std::erase_if(totals_->past, [&](const auto &t) { return !there.contains(t.first); });
    if (!std::exchange(totals_->interrupted, false))
        return;
    for (const auto &d : plan_->decisions)
        if (d.rule.action != EFW_SLOW)
            for (const auto origin : counted_by(*plan_, d))
                totals_->past[key_of(plan_->origins[origin])].at_least = true;
}

Result<> Offloaded::settle()
{
    const std::scoped_lock lock(totals_->mutex);
    if (const auto before = std::exchange(before_, nullptr)) {
        const unsigned half = half_ ^ 1;
        add_to(totals_->past, *before, half);
        for (std::size_t i = 0; i < before->decisions.size(); ++i)
            if (auto r = counters_.clear(counter_of(half, i)); !r)
                return r;
    }
    forget_rules_that_are_gone();
    return Unit{};
}

Result<> Offloaded::restore(const std::string &folder)
{
    auto shared = OffloadTotals::of(folder);
    if (!shared)
        return shared.error();
    const auto own = totals_;
    if (own == *shared)
        return Unit{};
    const std::scoped_lock lock(own->mutex, (*shared)->mutex);
    for (const auto &[key, t] : own->past)
        add((*shared)->past[key].count, t.count);
    if (own->sources.contains(this))
        (*shared)->sources.insert(this);
    own->sources.clear();
    totals_ = *shared;
    forget_rules_that_are_gone(); // there may be a plan already
    return Unit{};
}

Result<> Offloaded::keep()
{
    const std::scoped_lock lock(totals_->mutex);
    return totals_->keep(false);
}

OffloadTotals::Totals Offloaded::totals() const
{
    const std::scoped_lock lock(totals_->mutex);
    return totals_->now();
}

} // namespace evnf::efw
