// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <utility>
#include <vector>

#include "base/bpf.hpp"
#include "vnfs/vnf.hpp"

namespace evnf
{

// A stage behind a root, and the maps that it was loaded with.
using StageBehind = std::pair<const Descriptor *, const bpf::MapSet *>;

// A root that is loaded with these maps next reads ahead the lines (bpf/lib/lines.h) of the stages
// behind it, which are given in their order: of two at most, for there is no gain in many.
Result<> read_ahead(bpf::MapSet &root, const std::vector<StageBehind> &stages);

} // namespace evnf
