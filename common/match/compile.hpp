// SPDX-License-Identifier: GPL-2.0-or-later
// Rules become the tables that the fast path reads.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "abi/match.h"
#include "match/match.hpp"

namespace evnf::match
{

// A rule: what it matches, and the VNF's own numbers for what then is to happen.
struct Entry {
    Match match;
    std::uint8_t action;
    std::uint16_t counter;
};

// The numbers for packets that no rule matches.
struct Default {
    std::uint8_t action;
    std::uint16_t counter;
};

// The tables of abi/match.h for rules in order of evaluation, at most MATCH_MAX_RULES.
std::unique_ptr<match_tables> compile(const std::vector<Entry> &rules, const Default &otherwise);

// Replaces the tables in an array of maps (bpf/lib/match.h) as a whole: a packet meets
// the old ones or the new.
Result<> put_tables(int ruleset, const match_tables &tables);

} // namespace evnf::match
