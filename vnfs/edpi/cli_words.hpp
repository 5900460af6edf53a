// SPDX-License-Identifier: GPL-2.0-or-later
// What edpi's verbs print.
#pragma once

#include "vnfs/cli.hpp"

namespace evnf::edpi
{

// A table of flows, as their records have them.
std::string flows_text(const nlohmann::json &flows);
// One flow, a line for each thing known of it.
std::string flow_text(const nlohmann::json &flow);

void add_policy_verbs(CLI::App &edpi, cli::Context &context);
void add_read_verb(CLI::App &edpi, cli::Context &context);

} // namespace evnf::edpi
