// SPDX-License-Identifier: GPL-2.0-or-later
// Rulesets as firewalls have them, with one rule among them that the traffic meets.
#pragma once

#include <string_view>

#include "bench/traffic.hpp"
#include "support/rulesets.hpp"

namespace evnf::bench
{

using efw::model::Shape;

// What decides about the traffic.
enum class Meets { first_rule, last_rule, the_default };

struct Ruleset {
    Shape shape;
    int family; // of rules and traffic
    std::size_t rules;
    Meets meets = Meets::last_rule;
    bool accept = false; // else drop
};

std::string_view shape_text(Shape shape);

// A section of efw, checked, with just so much memory as the rules need.
Result<json> section_of(const Ruleset &ruleset);

// The rules of such a section as the compiler takes them; without what is efw's alone.
std::vector<match::Match> matches_of(const json &section);

} // namespace evnf::bench
