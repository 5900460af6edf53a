// SPDX-License-Identifier: GPL-2.0-or-later
// The verbs of the API on elb's established connections.
#pragma once

#include <functional>
#include <vector>

#include "vnfs/elb/connections.hpp"
#include "vnfs/vnf.hpp"

namespace evnf::elb
{

// `of` gives the connections of a fast path of elb.
std::vector<LiveRoute> connection_routes(std::function<Connections &(FastPath &)> of);

} // namespace evnf::elb
