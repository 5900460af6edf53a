// SPDX-License-Identifier: GPL-2.0-or-later
// What edpi says of its flows as a whole.
#pragma once

#include "vnfs/edpi/flows.hpp"

namespace evnf::edpi
{

// By application only what is in records, so that it never goes back: of what is open, the
// application may not be known yet.
std::vector<Metric> metrics(const Flows &flows);
json load_json(const Flows &flows);
json applications_json(const Flows &flows);

} // namespace evnf::edpi
