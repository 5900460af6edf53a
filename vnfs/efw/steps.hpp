// SPDX-License-Identifier: GPL-2.0-or-later
// One rule more or less in a section of many, see Step.
#pragma once

#include <memory>
#include <optional>

#include "vnfs/efw/section.hpp"

namespace evnf::efw
{

std::unique_ptr<Stepper> make_rule_steps(const json &section);

// The rule that the body of a verb describes, as a section has it but for its numbers. In
// verbs.cpp.
Result<json> new_rule(const json &section, const json &body);

// Of Route.
std::optional<Step> step_add(const Stepper &steps, const json &section, const Request &request);
std::optional<Step> step_remove(const Stepper &steps, const json &section, const Request &request);

// What a step's patch makes of the rules of the section before it.
struct RuleStep {
    std::optional<SectionRule> added, removed;
};
std::optional<RuleStep> rule_step(const json &section, const json &patch);

} // namespace evnf::efw
