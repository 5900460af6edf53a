// SPDX-License-Identifier: GPL-2.0-or-later
// One rule of iptables: its words become steps.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "vnfs/efw/offload/ruleset.hpp"

namespace evnf::efw::offload
{

// `words` are those after "-A CHAIN". What is not known makes an unknown step or an
// effect, never an error. `chains` are the table's own.
std::vector<Step> xtables_steps(const std::vector<std::string> &words, int family,
                                const std::set<std::string> &chains);

} // namespace evnf::efw::offload
