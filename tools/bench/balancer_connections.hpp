// SPDX-License-Identifier: GPL-2.0-or-later
// What connections cost by how many there are: to open, to find again, and in memory.
#pragma once

#include <chrono>

#include "vnfs/vnf.hpp"

namespace evnf::bench
{

Result<json> measure_connections(const std::vector<unsigned> &flows, std::chrono::seconds time);
std::string text_of_connections(const json &report);

} // namespace evnf::bench
