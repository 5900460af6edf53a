// SPDX-License-Identifier: GPL-2.0-or-later
// Which column of a flow's line is for whose answers: see bpf/lib/match_flow.h.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "daemon/document.hpp"

namespace evnf
{

// For each instance that has rules, less than MATCH_ANSWERS; or that, if its chains have no
// column left: it then searches for each packet. No two instances of a chain share one, so
// that they do not overwrite each other's answers packet by packet.
std::map<std::string, unsigned> match_columns(const std::vector<Chain> &chains,
                                              const std::vector<Instance> &instances);

} // namespace evnf
