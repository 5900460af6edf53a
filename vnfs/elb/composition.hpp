// SPDX-License-Identifier: GPL-2.0-or-later
// What a section means to the chain around the stage; see VnfType.
#pragma once

#include <string>
#include <vector>

#include "vnfs/vnf.hpp"

namespace evnf::elb
{

std::vector<Destination> services_rewritten(const json &section);
bool all_one_way(const json &section);
std::string direct_service(const json &section);
std::string backend_of(const json &section, unsigned detail);

} // namespace evnf::elb
