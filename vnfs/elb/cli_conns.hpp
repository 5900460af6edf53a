// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "vnfs/cli.hpp"

namespace evnf::elb
{

// Adds `evnf elb conn …`.
void add_conn_verbs(CLI::App &elb, cli::Context &context);

} // namespace evnf::elb
