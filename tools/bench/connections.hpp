// SPDX-License-Identifier: GPL-2.0-or-later
// What connections cost by how many there are: to open, to find again, and in memory.
#pragma once

#include <chrono>

#include "vnfs/vnf.hpp"

namespace evnf::bench
{

// Tells it, and gives the results of a report.
Result<json> measure_connections(const std::vector<unsigned> &flows,
                                 std::chrono::milliseconds time);

} // namespace evnf::bench
