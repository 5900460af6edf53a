// SPDX-License-Identifier: GPL-2.0-or-later
// evnf efw explain
#pragma once

#include "vnfs/cli.hpp"

namespace evnf::efw
{

void add_explain_verb(CLI::App &efw, cli::Context &context);

} // namespace evnf::efw
