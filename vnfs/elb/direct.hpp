// SPDX-License-Identifier: GPL-2.0-or-later
// forward = "direct" gives packets a backend's MAC: the backend must be on a network of this
// host, at an interface of a chain.
#pragma once

#include <vector>

#include "vnfs/vnf.hpp"

namespace evnf::elb
{

// See VnfType. A backend without any route may pass: its network may be down.
std::vector<Misfit> direct_misfits(const json &section, const Surroundings &here);

} // namespace evnf::elb
