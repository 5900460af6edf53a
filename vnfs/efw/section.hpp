// SPDX-License-Identifier: GPL-2.0-or-later
// efw's configuration section:
//   {"default": "slow", "next_id": 3,
//    "rules": [{"id": 1, "counter": 1, "rule": "tcp dport 80 accept"}, …]}
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vnfs/efw/rule.hpp"
#include "vnfs/vnf.hpp"

namespace evnf::efw
{

// VnfType::check: rules may also be plain strings, without ids.
Result<json> check_section(const json &section, const json &running);
std::vector<std::string> diff_sections(const json &from, const json &to);
std::vector<Route> section_routes();

// The counter of packets that no rule matches.
constexpr std::uint16_t default_counter = 0;

struct SectionRule {
    unsigned id;
    std::uint16_t counter; // the one it counts in, see abi.h
    Rule rule;
};
// The rules of a checked section in order of evaluation: by priority, then as they stand.
std::vector<SectionRule> ordered_rules(const json &section);
efw_action default_action(const json &section);

} // namespace evnf::efw
