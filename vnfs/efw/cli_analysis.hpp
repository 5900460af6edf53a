// SPDX-License-Identifier: GPL-2.0-or-later
// evnf efw lint, evnf efw diff: the verbs that look at rules and change nothing.
#pragma once

#include "vnfs/cli.hpp"

namespace evnf::efw
{

void add_analysis_verbs(CLI::App &efw, cli::Context &context);

} // namespace evnf::efw
