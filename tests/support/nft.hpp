// SPDX-License-Identifier: GPL-2.0-or-later
// Rules of efw in nft's own language.
#pragma once

#include <string>
#include <vector>

#include "support/rulesets.hpp"
#include "vnfs/efw/section.hpp"

namespace evnf::efw
{

// Matches of which a packet meets one if it meets the rule's, and else none. More than one
// where nft has no word for what both families or several kinds of fragments have.
std::vector<std::string> nft_matches(const match::Match &m);

// A table "t" for what comes in by these interfaces: rule i counts in "ri", what no rule
// matches in "otherwise", and all in "everything". Nothing of it goes on.
std::string nft_table(const std::vector<SectionRule> &rules, const model::World &world);

} // namespace evnf::efw
