// SPDX-License-Identifier: GPL-2.0-or-later
// What lint and diff found, as JSON, and of that as text for people.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "vnfs/efw/analysis/diff.hpp"
#include "vnfs/efw/analysis/lint.hpp"
#include "vnfs/efw/ruleset_file.hpp"

namespace evnf::efw
{

nlohmann::json lint_json(const NamedRuleset &rules, const analysis::Lint &lint);
// Of findings that are information only, at most so many.
std::string lint_text(const nlohmann::json &lint, std::size_t infos);

nlohmann::json diff_json(const NamedRuleset &a, const NamedRuleset &b, const analysis::Diff &diff);
std::string diff_text(const nlohmann::json &diff);

} // namespace evnf::efw
