// SPDX-License-Identifier: GPL-2.0-or-later
// efw's configuration section:
//   {"default": "slow", "next_id": 3,
//    "rules": [{"id": 1, "counter": 1, "rule": "tcp dport 80 accept"}, …]}
#pragma once

#include <string>
#include <vector>

#include "vnfs/efw/compile.hpp"
#include "vnfs/vnf.hpp"

namespace evnf::efw
{

// VnfType::check: rules may also be plain strings, without ids.
Result<json> check_section(const json &section, const json &running);
std::vector<std::string> diff_sections(const json &from, const json &to);
std::vector<Route> section_routes();

struct SectionRule {
    unsigned id;
    NumberedRule numbered;
};
// The rules of a checked section in order of evaluation: by priority, then as they stand.
std::vector<SectionRule> ordered_rules(const json &section);
efw_action default_action(const json &section);

} // namespace evnf::efw
