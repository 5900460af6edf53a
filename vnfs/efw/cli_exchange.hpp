// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "vnfs/cli.hpp"

namespace evnf::efw
{

// evnf efw rule import|export …
void add_exchange(CLI::App &rule, cli::Context &context);

} // namespace evnf::efw
