// SPDX-License-Identifier: GPL-2.0-or-later
// forward = "direct" gives packets a backend's MAC: the backend must be on a network of this host.
#pragma once

#include <vector>

#include "base/result.hpp"
#include "vnfs/elb/section.hpp"

namespace evnf::elb
{

// Refuses backends that this host's routes have behind a router, or at itself, of services that
// are not in force yet. One without any route now is only warned of: its network may be down.
Result<> check_on_link(const std::vector<Service> &wanted, const std::vector<Service> &in_force);

} // namespace evnf::elb
