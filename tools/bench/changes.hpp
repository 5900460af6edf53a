// SPDX-License-Identifier: GPL-2.0-or-later
// What a change of the rules costs, along the way that the daemon takes.
#pragma once

#include "bench/ruleset.hpp"

namespace evnf::bench
{

// Milliseconds, each the least of a few times.
struct Change {
    double edit = 0;  // the verb's new section, canonical; or the step
    double apply = 0; // … compiled and put in force
    double keep = 0;  // … on the disk
};

struct Changes {
    double compile = 0;    // of all rules, alone
    std::size_t bytes = 0; // of the tables
    Change add_one, delete_one, replace_all;
};

Result<Changes> time_changes(const Ruleset &ruleset);

} // namespace evnf::bench
