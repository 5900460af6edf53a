// SPDX-License-Identifier: GPL-2.0-or-later
// What it costs to give the backends of elb other weights, all at once.
#pragma once

#include "vnfs/vnf.hpp"

namespace evnf::bench
{

// Tells it, and gives the results of a report.
Result<json> measure_reweighting(unsigned rounds);

} // namespace evnf::bench
