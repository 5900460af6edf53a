// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <vector>

#include "vnfs/efw/sets.hpp"
#include "vnfs/vnf.hpp"

namespace evnf::efw
{

// The API's verbs on sets; `sets_of` gives those of a fast path.
std::vector<LiveRoute> set_routes(const std::function<Sets &(FastPath &)> &sets_of);

} // namespace evnf::efw
