// SPDX-License-Identifier: GPL-2.0-or-later
// efw's configuration section:
//   {"default": "slow", "next_id": 3,
//    "rules": [{"id": 1, "counter": 1, "rule": "tcp dport 80 accept"}, …],
//    "sets": {"blocked": {"type": "addr", "size": 65536}}}
// A rule may have an "owner", whose rules are replaced together, and a time at which it
// "expires" (in seconds, of the Unix epoch). "memory" is the room for a compiled ruleset, in
// MiB; the fast path holds two. With "offload" what netfilter's live rules decide is offloaded
// behind them. For sets see section_sets.hpp.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "vnfs/efw/rule.hpp"
#include "vnfs/vnf.hpp"

namespace evnf::efw
{

// VnfType::check: rules may also be plain strings, or tables without ids.
Result<json> check_section(const json &section, const json &running);
std::vector<std::string> diff_sections(const json &from, const json &to);
std::vector<Route> section_routes();
// VnfType::expire: without the rules that have expired.
std::optional<json> without_expired(const json &section, std::uint64_t now);

constexpr unsigned default_memory = 16, max_memory = 1024; // MiB

// The counter of packets that no rule matches.
constexpr std::uint32_t default_counter = 0;

struct SectionRule {
    unsigned id;
    std::uint32_t counter; // the one it counts in, see abi.h
    std::string owner;     // empty: none
    std::optional<std::uint64_t> expires;
    Rule rule;
};
// One of a checked section's rules.
std::optional<SectionRule> section_rule(const json &item);
// The rules of a checked section in order of evaluation: by priority, then as they stand.
std::vector<SectionRule> ordered_rules(const json &section);
efw_action default_action(const json &section);

} // namespace evnf::efw
