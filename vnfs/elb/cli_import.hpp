// SPDX-License-Identifier: GPL-2.0-or-later
// evnf elb import
#pragma once

#include "vnfs/cli.hpp"

namespace evnf::elb
{

void add_import_verb(CLI::App &elb, cli::Context &context);

} // namespace evnf::elb
