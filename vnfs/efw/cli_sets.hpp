// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "vnfs/cli.hpp"

namespace evnf::efw
{

// The elements that a section's sets have in files, see cli::Verbs.
Result<std::vector<cli::Call>> set_files(const cli::json &section);

// evnf efw set …
void add_set_verbs(CLI::App &efw, cli::Context &context);

} // namespace evnf::efw
