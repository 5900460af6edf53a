// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <CLI/CLI.hpp>

#include "base/log.hpp"

namespace evnf::cli
{

// --log-format and --log-level, which every program that serves has.
void add_log_options(CLI::App &app, LogSettings &settings);

} // namespace evnf::cli
