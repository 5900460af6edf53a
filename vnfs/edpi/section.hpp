// SPDX-License-Identifier: GPL-2.0-or-later
// edpi's configuration section; see docs/edpi.md for what the keys mean.
#pragma once

#include "vnfs/edpi/abi.h"
#include "vnfs/edpi/destination.hpp"
#include "vnfs/edpi/flows.hpp"
#include "vnfs/vnf.hpp"

namespace evnf::edpi
{

Result<json> check_section(const json &section, const json &running);
std::vector<std::string> diff_sections(const json &from, const json &to);

// Of a checked section.
edpi_settings settings_of(const json &section);
Timeouts timeouts_of(const json &section);
PacketLimits limits_of(const json &section);
Destination destination_of(const json &section);
// Whether flows are judged by both as by one.
bool same_rules(const json &a, const json &b);
// Whether the inspectors of one do for the other.
bool same_inspection(const json &a, const json &b);

} // namespace evnf::edpi
