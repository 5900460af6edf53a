// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/offload_account.hpp"

#include <unordered_map>

namespace evnf::efw
{

namespace
{

using nlohmann::json;
using offload::Origin;

// Why netfilter's count and ours are not of the same packets. Null: they are.
const char *unsure(const Origin &o, std::size_t alike)
{
    if (!o.counted)
        return "it has no counter: netfilter does not count its packets";
    if (o.several_counters)
        return "it has several counters";
    if (!o.counters)
        return "its counter is a named one, which other rules may have too";
    if (alike > 1)
        return "it stands in its chain more than once, with the same words";
    return nullptr;
}

} // namespace

json offload_account(const std::vector<Origin> &live, const offload::Plan *plan,
                     const OffloadTotals::Totals &totals)
{
    std::unordered_map<std::string, const Origin *> planned;
    std::unordered_map<std::string, std::size_t> alike;
    if (plan)
        for (const auto &o : plan->origins)
            planned[key_of(o)] = &o;
    for (const auto &o : live)
        ++alike[key_of(o)];
    json rules = json::array();
    for (const auto &o : live) {
        const std::string key = key_of(o);
        const auto known = planned.find(key);
        json row = report(known == planned.end() ? o : *known->second);
        row["rule"] = o.text;
        if (o.number)
            row["number"] = o.number;
        if (known == planned.end())
            row["state"] = plan ? "not read yet" : "not offloaded";
        const auto t = totals.find(key);
        const OffloadTotal fast = t == totals.end() ? OffloadTotal{} : t->second;
        row["fast_path"] = {{"packets", fast.count.packets}, {"bytes", fast.count.bytes}};
        if (o.counted && o.counters)
            row["netfilter"] = {{"packets", o.counters->packets}, {"bytes", o.counters->bytes}};
        if (const char *why = unsure(o, alike[key])) {
            row["no_sum"] = why;
        } else {
            row["sum"] = {{"packets", fast.count.packets + o.counters->packets}};
            if (o.family != offload::Family::netdev) // there bytes are with padding
                row["sum"]["bytes"] = fast.count.bytes + o.counters->bytes;
            if (fast.at_least)
                row["at_least"] = "the daemon was killed: of its last second it is not known what "
                                  "was decided";
        }
        rules.push_back(std::move(row));
    }
    return rules;
}

} // namespace evnf::efw
