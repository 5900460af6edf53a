// SPDX-License-Identifier: GPL-2.0-or-later
// Whether the sections of a document fit the host that they are for; see VnfType::misfits.
#pragma once

#include <vector>

#include "base/rtnl.hpp"
#include "vnfs/vnf.hpp"

namespace evnf
{

// Of all sections of a checked document, their places being in it.
Result<std::vector<Misfit>> misfits_of(const json &document, Rtnl &rtnl);

// Refuses the first that `running`, the document in force, does not have: what has come by
// itself must not stop other changes, or a daemon that starts again. Logs those that may pass.
Result<> check_surroundings(const json &document, const json &running, Rtnl &rtnl);

} // namespace evnf
