// SPDX-License-Identifier: GPL-2.0-or-later
// What the root found in a frame, as a packet.
#pragma once

#include <optional>
#include <string>

#include "abi/pkt.h"
#include "vnfs/efw/packet.hpp"

namespace evnf::efw
{

// None for what no text can say: IPv6 with addresses of the form ::ffff:a.b.c.d.
std::optional<Packet> packet_of(const pkt &found, const std::string &interface);

} // namespace evnf::efw
