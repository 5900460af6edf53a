// SPDX-License-Identifier: GPL-2.0-or-later
// evnf preflight: what will work here, before any evnfd runs.
#pragma once

#include "vnfs/cli.hpp"

namespace evnf::cli
{

void add_preflight_command(CLI::App &app, Context &context);

} // namespace evnf::cli
