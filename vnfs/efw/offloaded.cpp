// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/offloaded.hpp"

#include "vnfs/efw/abi.h"

namespace evnf::efw
{

namespace
{

__u32 counter_of(unsigned half, std::size_t decision)
{
    return half * EFW_MAX_DECISIONS + static_cast<__u32>(decision);
}

} // namespace

void Offloaded::plan(std::shared_ptr<const offload::Plan> next)
{
    before_ = std::exchange(plan_, std::move(next));
    half_ ^= 1;
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
    return plan_ ? entries_of(*plan_, counter_of(half_, 0)) : std::vector<match::Entry>();
}

// A rule that stands several times in a chain counts as one.
std::string Offloaded::key_of(const offload::Origin &origin)
{
    return std::to_string(static_cast<int>(origin.family)) + (origin.legacy ? " legacy " : " ") +
           origin.table + " " + origin.chain + " " +
           (origin.number ? origin.text : std::string("policy"));
}

void Offloaded::add_to(Totals &totals, const offload::Plan &plan, unsigned half) const
{
    for (std::size_t i = 0; i < plan.decisions.size(); ++i) {
        const auto &d = plan.decisions[i];
        if (d.rule.action == EFW_SLOW)
            continue;
        const counter c = counters_.sum(counter_of(half, i));
        for (const auto origin : d.counts) {
            counter &total = totals[key_of(plan.origins[origin])];
            total.packets += c.packets;
            total.bytes += c.bytes;
        }
    }
}

Result<> Offloaded::settle()
{
    if (!before_)
        return Unit{};
    const unsigned half = half_ ^ 1;
    add_to(totals_, *before_, half);
    for (std::size_t i = 0; i < before_->decisions.size(); ++i)
        if (auto r = counters_.clear(counter_of(half, i)); !r)
            return r;
    before_ = nullptr;
    return Unit{};
}

nlohmann::json Offloaded::report() const
{
    if (!plan_)
        return nullptr;
    nlohmann::json out = offload::report(*plan_);
    Totals totals = totals_;
    add_to(totals, *plan_, half_);
    for (std::size_t i = 0; i < plan_->origins.size(); ++i) {
        const auto it = totals.find(key_of(plan_->origins[i]));
        const counter c = it == totals.end() ? counter{} : it->second;
        out["rules"][i]["packets"] = c.packets;
        out["rules"][i]["bytes"] = c.bytes;
    }
    return out;
}

} // namespace evnf::efw
