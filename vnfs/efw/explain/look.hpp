// SPDX-License-Identifier: GPL-2.0-or-later
// Whether a rule means a packet, said plainly: field after field.
#pragma once

#include "match/match.hpp"
#include "vnfs/efw/packet.hpp"

namespace evnf::efw
{

// Unseen: all that the packet shows fits, and the match asks for more, which nobody can see.
enum class Seen { no, yes, unseen };
Seen look(const match::Match &match, const Packet &packet);

} // namespace evnf::efw
