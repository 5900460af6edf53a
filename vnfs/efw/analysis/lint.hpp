// SPDX-License-Identifier: GPL-2.0-or-later
// What rules of a ruleset do nothing, or not what they seem to.
//
// Exact: what is found is so, for all packets, and has a packet as its witness. What
// could not be decided within the budget is said to be undecided. A rule with a limit may
// or may not end the search for each packet it means; one that counts never does.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "vnfs/efw/analysis/ruleset.hpp"

namespace evnf::efw::analysis
{

enum class Fault {
    never,        // there is no packet that the rule means
    shadowed,     // earlier rules take all its packets, and do not do the same
    repeated,     // earlier rules of the same action mean all its packets
    redundant,    // without it the same becomes of every packet; none that logs
    useless_part, // a value of its match never counts: earlier rules take it whole
    overlap,      // an earlier rule takes some of its packets to another action
};
enum class Severity { info, warning, error };
Severity severity_of(Fault fault);

struct Finding {
    Fault fault;
    std::uint32_t rule;                // its place in the order of evaluation
    std::vector<std::uint32_t> others; // the rules that are to blame; the default is one
    std::optional<Packet> witness;     // that the rule means; none if no packet has that
    std::uint32_t decider = 0;         // the rule that decides about the witness
    std::string part;                  // of Fault::useless_part: "dport 80"
};

struct Lint {
    std::vector<Finding> findings; // by rule
    struct Undecided {
        std::uint32_t rule;
        Fault question;
    };
    std::vector<Undecided> undecided;
};

struct LintOptions {
    std::uint64_t budget = 20'000'000; // steps for each question, see cover.hpp
    std::function<void(std::uint32_t rule)> progress = {};
};

// The rules that are shadowed, repeated, redundant or never match can be removed all
// together.
Lint lint(const Ruleset &ruleset, const LintOptions &options = {});

} // namespace evnf::efw::analysis
