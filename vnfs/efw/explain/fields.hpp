// SPDX-License-Identifier: GPL-2.0-or-later
// What a rule asks of a packet, beside what the packet has.
#pragma once

#include <nlohmann/json.hpp>

#include "match/match.hpp"
#include "vnfs/efw/packet.hpp"

namespace evnf::efw
{

// [{"asked": "tcp dport 22", "value": "22", "seen": true}, …]: a row for each field that the
// match asks for; what nobody can see of the packet has no value.
nlohmann::json asked_fields(const match::Match &match, const Packet &packet);

} // namespace evnf::efw
