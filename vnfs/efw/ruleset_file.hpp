// SPDX-License-Identifier: GPL-2.0-or-later
// Rulesets as people keep them: for verbs that look at rules without a daemon.
//
//   *.toml  a configuration, or a section of it by itself
//   *.json  the same as JSON, such as the API answers
//   others  text: one rule on each line, `default ACTION` on one of its own; what begins
//           with # is for people
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/result.hpp"
#include "vnfs/efw/analysis/ruleset.hpp"

namespace evnf::efw
{

struct NamedRuleset {
    std::string name; // of the file, or of what it is
    analysis::Ruleset ruleset;
    std::vector<std::string> places; // by rule: where it stands, for people
    std::string default_place;
};

// The messages of errors show their place.
Result<NamedRuleset> read_ruleset(const std::string &path, const std::string &section);
Result<NamedRuleset> ruleset_of_text(const std::string &text, const std::string &name);
// A section, in a file or as the API answers it.
Result<NamedRuleset> ruleset_of_section(const nlohmann::json &section, const std::string &name);

} // namespace evnf::efw
