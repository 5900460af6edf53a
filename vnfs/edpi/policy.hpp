// SPDX-License-Identifier: GPL-2.0-or-later
// What is done with flows that are known: policies, the first that takes a flow is its own; and
// which flows are kept in the fast path where others go a slow way. As a section has them.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "vnfs/edpi/abi.h"
#include "vnfs/vnf.hpp"

namespace evnf::edpi
{

// What is known of a flow.
struct Identity {
    std::string application, category, host; // as its record has them
};

struct Policy {
    std::string name;
    std::vector<std::string> applications, categories; // in small letters; none: any
    std::vector<std::string> hosts;                    // patterns as of a shell; none: any
    edpi_policy entry;

    [[nodiscard]] bool takes(const Identity &who) const;
};

struct Elephants {
    bool always = true; // whatever is known
    std::vector<std::string> applications, categories;
    std::uint64_t bytes = 0, rate = 0; // that it has had; bits that it has in a second; 0: none

    // For its `rate` a flow is kept when that has been seen, see Flows.
    [[nodiscard]] bool takes(const Identity &who, std::uint64_t seen) const;
};

// The names that nDPI has, in small letters.
struct Names {
    std::set<std::string> applications, categories;
};
Result<Names> names_of(const std::string &protocols_file);

// Canonical tables. Errors carry `where`.
Result<json> check_policy(const json &table, const std::string &where, const Names &names);
Result<json> check_policies(const json &tables, const Names &names);
Result<json> check_elephants(const json &value, const Names &names);

// Of a checked table.
Policy policy_of(const json &table);
Elephants elephants_of(const json &value);

} // namespace evnf::edpi
