// SPDX-License-Identifier: GPL-2.0-or-later
// The API's query: what becomes of packets under the rules in force.
//   {"packet": TEXT}                      see packet.hpp
//   {"frames": [BASE64, …], "in": NAME}   whole Ethernet frames; of those without "in" the
//                                         interface is one that no rule names; with an offload it
//                                         must be said
#pragma once

#include "vnfs/efw/explain/rehearsal.hpp"

namespace evnf::efw
{

Result<json> explain(const json &section, const Live &live, const json &request);

} // namespace evnf::efw
