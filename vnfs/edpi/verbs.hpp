// SPDX-License-Identifier: GPL-2.0-or-later
// The API's verbs on a running edpi.
#pragma once

#include "vnfs/edpi/flows.hpp"

namespace evnf::edpi
{

// On its section's policies.
std::vector<Route> policy_routes();
std::vector<LiveRoute> live_routes(std::function<Flows &(FastPath &)> of);

} // namespace evnf::edpi
