// SPDX-License-Identifier: GPL-2.0-or-later
// What the sender of a rejected packet is told, as an IP packet from whom the packet was for:
//
//   TCP            RST, as from a closed port (RFC 9293 3.10.7.1)
//   anything else  ICMP destination unreachable, administratively prohibited, with as much of
//                  the packet as fits (RFC 1812 4.3.2.3, RFC 4443 2.4)
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "abi/pkt.h"

namespace evnf::efw
{

// `frame` is the frame, or its beginning, and `p` what the root has found in it. None for
// what must not be answered, or cannot be for what is missing: a RST; an ICMP error; a
// fragment other than the first; what was sent to many, or by nobody in particular (RFC 1122
// 3.2.2, RFC 4443 2.4 e); a packet whose upper layer is not known or malformed.
std::optional<std::vector<std::uint8_t>> answer_to(std::span<const std::uint8_t> frame,
                                                   const pkt &p);

} // namespace evnf::efw
