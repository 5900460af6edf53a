// SPDX-License-Identifier: GPL-2.0-or-later
// evnf chain plan: what was asked for, what runs, what it costs.
#pragma once

#include "vnfs/cli.hpp"

namespace evnf::cli
{

void add_plan_command(CLI::App &chain, Context &context);

} // namespace evnf::cli
