// SPDX-License-Identifier: GPL-2.0-or-later
// classify's configuration section:
//   {"rules": ["tcp dport 80", "ip saddr 10.0.0.0/8"]}
// The first rule that matches a packet decides how it goes on; see abi.h.
#pragma once

#include <string>
#include <vector>

#include "match/match.hpp"
#include "vnfs/vnf.hpp"

namespace evnf::classify
{

Result<json> check_section(const json &section, const json &running);
std::vector<std::string> diff_sections(const json &from, const json &to);

// The rules of a checked section in order of evaluation.
std::vector<match::Match> rules_of(const json &section);

} // namespace evnf::classify
