// SPDX-License-Identifier: GPL-2.0-or-later
// What nDPI has found in a flow, as JSON.
#pragma once

#include <ndpi_api.h>

#include <nlohmann/json.hpp>

namespace evnf::edpi
{

nlohmann::json facts_json(ndpi_detection_module_struct *module, const ndpi_protocol &protocol,
                          ndpi_flow_struct &flow);

} // namespace evnf::edpi
