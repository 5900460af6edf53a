// SPDX-License-Identifier: GPL-2.0-or-later
// What a packet costs while other cores have packets of their own flows in the same chain.
#pragma once

#include <chrono>

#include "vnfs/vnf.hpp"

namespace evnf::bench
{

// Tells it, and gives the results of a report.
Result<json> measure_cores(std::chrono::milliseconds time);

} // namespace evnf::bench
