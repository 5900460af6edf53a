// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/tables.hpp"

#include <iterator>

#include "vnfs/efw/section_sets.hpp"

namespace evnf::efw
{

namespace
{

// What abi.h says of a rule.
match_rule compiled(const SectionRule &from)
{
    match_rule out{.action = from.rule.action, .counter = from.counter};
    if (const auto &limit = from.rule.limit) {
        out.options = static_cast<__u16>(EFW_LIMITED | (limit->over ? EFW_OVER : 0) |
                                         (limit->per_source ? EFW_PER_SOURCE : 0));
        out.period = std::uint64_t{limit->seconds} * 1'000'000'000 / limit->packets;
        out.number[0] = limit->burst;
    }
    if (makes_copies(from.rule))
        out.options |= EFW_COPIED;
    out.number[1] = from.rule.log_sample;
    return out;
}

} // namespace

match::Entry entry_of(const SectionRule &rule)
{
    return {rule.rule.match, compiled(rule)};
}

match_rule default_rule(const json &section)
{
    return {.action = default_action(section), .counter = default_counter};
}

match::Names names_in(const json &section)
{
    match::Names out{interfaces(), {}};
    for (const auto &set : declared_sets(section))
        out.sets[set.name] = set.number;
    return out;
}

bool makes_copies(const Rule &rule)
{
    return rule.log_sample || rule.action == EFW_REJECT;
}

Result<match::Tables> tables_of(const std::vector<SectionRule> &rules,
                                std::vector<match::Entry> offloaded, const json &section)
{
    std::vector<match::Entry> entries;
    for (const auto &r : rules)
        entries.push_back(entry_of(r));
    std::move(offloaded.begin(), offloaded.end(), std::back_inserter(entries));
    return match::compile(entries, default_rule(section), names_in(section));
}

} // namespace evnf::efw
