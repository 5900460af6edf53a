// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "vnfs/cli.hpp"

namespace evnf::efw
{

// evnf efw offload …
void add_offload(CLI::App &efw, cli::Context &context);

} // namespace evnf::efw
