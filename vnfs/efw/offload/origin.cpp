// SPDX-License-Identifier: GPL-2.0-or-later
// Rules of netfilter as people and counters know them.
#include <algorithm>

#include "vnfs/efw/offload/plan.hpp"

namespace evnf::efw::offload
{

Origin origin_of(const Table &table, const Chain &chain, const Rule *rule)
{
    Origin o{.family = table.family,
             .table = table.name,
             .chain = chain.name,
             .text = rule                ? rule->text
                     : chain.policy_drop ? "policy drop"
                                         : "policy accept",
             .number = rule ? rule->number : 0,
             .handle = rule ? rule->handle : 0,
             .table_handle = table.handle,
             .legacy = table.legacy,
             .counted = table.iptables,
             .counters = rule ? rule->counters : chain.counters};
    if (rule) {
        const auto counts =
            std::count_if(rule->steps.begin(), rule->steps.end(),
                          [](const Step &s) { return std::holds_alternative<Count>(s); });
        o.counted = counts > 0;
        o.several_counters = counts > 1;
    }
    return o;
}

std::vector<Origin> origins_of(const Ruleset &rules)
{
    std::vector<Origin> out;
    for (const auto &table : rules.tables) {
        if (table.family == Family::arp || table.family == Family::bridge)
            continue;
        for (const auto &chain : table.chains) {
            for (const auto &rule : chain.rules)
                out.push_back(origin_of(table, chain, &rule));
            if (chain.hook != Hook::none)
                out.push_back(origin_of(table, chain, nullptr));
        }
    }
    return out;
}

std::string key_of(const Origin &o)
{
    return std::to_string(static_cast<int>(o.family)) + (o.legacy ? " legacy " : " ") + o.table +
           " " + std::to_string(o.table_handle) + " " + o.chain + " " + std::to_string(o.handle) +
           " " + (o.number ? o.text : "policy");
}

} // namespace evnf::efw::offload
