// SPDX-License-Identifier: GPL-2.0-or-later
// One rule of iptables: its words become steps.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "vnfs/efw/offload/ruleset.hpp"

namespace evnf::efw::offload
{

struct XtablesRule {
    std::vector<Step> steps;
    std::vector<std::size_t> from; // of each step: the word with which it begins
    std::string comment;
};

// `words` are those after "-A CHAIN". What is not known makes an unknown step or an
// effect, never an error. `chains` are the table's own.
XtablesRule read_xtables(const std::vector<std::string> &words, int family,
                         const std::set<std::string> &chains);

} // namespace evnf::efw::offload
