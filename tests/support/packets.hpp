// SPDX-License-Identifier: GPL-2.0-or-later
// Packets that rules may disagree about: at the edges of what they ask for, and one field
// away from what they mean. Each is what a root may say of some frame.
#pragma once

#include "support/rulesets.hpp"

namespace evnf::efw::model
{

pkt any_packet(Random &random, const std::vector<Rule> &rules, const World &world);

// The same, but for one field: at an edge of some rule, beside one, or any.
pkt mutated(Random &random, pkt p, const std::vector<Rule> &rules, const World &world);

// Some of it the same packet again, and some the same but for one field: a stage may
// remember what it has decided.
std::vector<pkt> any_stream(Random &random, const std::vector<Rule> &rules, const World &world,
                            std::size_t n);

std::string describe(const pkt &p, const World &world);

} // namespace evnf::efw::model
