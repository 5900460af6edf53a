// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/standing.hpp"

#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "vnfs/efw/tables.hpp"

namespace evnf::efw
{

namespace
{

bool same(const match::Entry &a, const match::Entry &b)
{
    return std::memcmp(&a.rule, &b.rule, sizeof a.rule) == 0 && a.match == b.match;
}

} // namespace

void Standing::set(const std::vector<SectionRule> &own, std::vector<match::Entry> offloaded)
{
    const auto first_offloaded = own_.size();
    std::unordered_map<std::uint32_t, match::EntryRef> before; // by counter
    for (std::size_t i = 0; i < first_offloaded; ++i)
        before.emplace(own_[i].counter, rules_[i]);
    std::vector<match::EntryRef> rules;
    rules.reserve(own.size() + offloaded.size());
    const auto add = [&](match::Entry entry, const match::EntryRef &old) {
        rules.push_back(old && same(*old, entry)
                            ? old
                            : std::make_shared<const match::Entry>(std::move(entry)));
    };
    own_.clear();
    for (const auto &r : own) {
        const auto old = before.find(r.counter);
        add(entry_of(r), old == before.end() ? nullptr : old->second);
        own_.push_back({r.rule.priority, r.counter});
    }
    for (std::size_t i = 0; i < offloaded.size(); ++i) {
        const bool was = first_offloaded + i < rules_.size();
        add(std::move(offloaded[i]), was ? rules_[first_offloaded + i] : nullptr);
    }
    rules_ = std::move(rules);
}

void Standing::add(const SectionRule &rule)
{
    const auto at = std::upper_bound(
        own_.begin(), own_.end(), rule.rule.priority,
        [](unsigned priority, const Own &other) { return priority < other.priority; });
    rules_.insert(rules_.begin() + (at - own_.begin()),
                  std::make_shared<const match::Entry>(entry_of(rule)));
    own_.insert(at, {rule.rule.priority, rule.counter});
}

void Standing::remove(std::uint32_t counter)
{
    const auto at =
        std::find_if(own_.begin(), own_.end(), [&](const Own &o) { return o.counter == counter; });
    if (at == own_.end())
        return;
    rules_.erase(rules_.begin() + (at - own_.begin()));
    own_.erase(at);
}

} // namespace evnf::efw
