// SPDX-License-Identifier: GPL-2.0-or-later
// What it costs to give the backends of elb other weights, all at once.
#pragma once

#include "vnfs/vnf.hpp"

namespace evnf::bench
{

Result<json> measure_reweighting(unsigned rounds);
std::string text_of_reweighting(const json &report);

} // namespace evnf::bench
