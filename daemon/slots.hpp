// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <map>
#include <string>
#include <vector>

#include "daemon/graph.hpp"

namespace evnf
{

// The slot of each place, by name: "in/root@eth0", "in/efw", "in/out". A place
// keeps its slot, and so its counters, for as long as it exists.
using Slots = std::map<std::string, unsigned>;

std::string root_place(const Chain &chain, const std::string &interface);
std::string slot_place(const Chain &chain, const Place &place);

// The places of `chains`, with the slots that `before` gave them; the new ones get the
// lowest that are free, and are listed in `fresh`.
Slots allot_slots(const std::vector<Chain> &chains, const Slots &before,
                  std::vector<unsigned> &fresh);

} // namespace evnf
