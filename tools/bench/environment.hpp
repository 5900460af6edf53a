// SPDX-License-Identifier: GPL-2.0-or-later
// Where a measurement was made, as every report has it.
#pragma once

#include "vnfs/vnf.hpp"

namespace evnf::bench
{

// All of a report but for its results and the command.
json environment();

} // namespace evnf::bench
