// SPDX-License-Identifier: GPL-2.0-or-later
// Rules become the tables that the fast path reads, see abi/match.h.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "abi/match.h"
#include "base/result.hpp"
#include "match/match.hpp"

namespace evnf::match
{

// A rule: what it matches, and the VNF's own numbers for what then is to happen. Its
// flags are set here.
struct Entry {
    Match match;
    match_rule rule;
};

// What the names in rules stand for.
struct Names {
    std::vector<std::pair<std::string, unsigned>> interfaces; // with their numbers
    std::map<std::string, std::uint16_t> sets;                // with theirs
    friend bool operator==(const Names &, const Names &) = default;
};

// A compiled ruleset: cells numbered from its first, whose id is not yet given.
using Tables = std::vector<match_cell>;

// The tables for rules in order of evaluation; `otherwise` is the rule for packets that
// none matches. Refused are more than MATCH_MAX_RULES rules, more than MATCH_MAX_SETS uses
// of sets, and names that `names` does not have.
Result<Tables> compile(const std::vector<Entry> &rules, const match_rule &otherwise,
                       const Names &names = {});

// The same of rules that are held by more than one list, so that who holds them tells by
// their addresses which of them have stayed. Uses of sets are numbered after those given.
using EntryRef = std::shared_ptr<const Entry>;
Result<Tables> compile(const std::vector<EntryRef> &rules, const match_rule &otherwise,
                       const Names &names, const std::vector<match_set_use> &uses = {});

// The uses of sets that tables have.
std::vector<match_set_use> set_uses(const Tables &tables);

} // namespace evnf::match
