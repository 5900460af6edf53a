// SPDX-License-Identifier: GPL-2.0-or-later
// A logged packet as a line, in the daemon's log and of `evnf efw log`.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

namespace evnf::efw
{

// A record of PacketLog in logfmt: "efw packet time=… rule=3 action=drop in=eth0 …"
std::string log_line(const nlohmann::json &record);
// TCP's flags in the words of a rule: "syn,ack".
std::string flags_text(std::uint8_t flags);

} // namespace evnf::efw
