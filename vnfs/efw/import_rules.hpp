// SPDX-License-Identifier: GPL-2.0-or-later
// Rules of efw that do what a chain of netfilter does, with all chains that it jumps to.
//
// How: the chain is followed for a region of packets. A jump is followed for the part that
// it matches; a part that returns early, or goes to another chain for good, is followed to
// its end at once, so that its rules stand before those of the rest, which so need not
// leave it out. What efw has no word for is refused; or, if it is to be left to netfilter,
// gives a rule with slow for all packets that may match it.
#pragma once

#include <string>
#include <vector>

#include "vnfs/efw/offload/ruleset.hpp"
#include "vnfs/efw/rule.hpp"

namespace evnf::efw
{

struct ImportedRule {
    Rule rule;
    offload::Place place; // of the rule that it comes from
};

struct RefusedRule {
    offload::Place place;
    std::string text;
    std::string why;
};

struct Import {
    std::string chain; // "filter/FORWARD"
    std::vector<ImportedRule> rules;
    std::vector<RefusedRule> refused; // in `rules` there is slow in their places
};

// `chain` is its name, or TABLE/NAME; empty: the only one in which a packet that comes in
// begins, and that has rules.
Result<Import> import_rules(const offload::Ruleset &rules, const std::string &chain);

} // namespace evnf::efw
