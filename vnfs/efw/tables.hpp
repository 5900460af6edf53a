// SPDX-License-Identifier: GPL-2.0-or-later
// A section's rules as the tables of the fast path.
#pragma once

#include <vector>

#include "match/compile.hpp"
#include "vnfs/efw/section.hpp"

namespace evnf::efw
{

// Whether workers get copies of what the rule matches.
bool makes_copies(const Rule &rule);

// A rule as the tables have it.
match::Entry entry_of(const SectionRule &rule);
match_rule default_rule(const json &section);
// What rules of the section may name.
match::Names names_in(const json &section);

// The rules in order of evaluation, with the section's default and names. Rules of efw's own
// stand first: they are the operator's word over netfilter's.
Result<match::Tables> tables_of(const std::vector<SectionRule> &rules,
                                std::vector<match::Entry> offloaded, const json &section);

} // namespace evnf::efw
