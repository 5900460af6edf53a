// SPDX-License-Identifier: GPL-2.0-or-later
// A packet as the frame in which it would come.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.hpp"
#include "vnfs/efw/packet.hpp"

namespace evnf::efw
{

using Bytes = std::vector<std::uint8_t>;

// A longer one the fast path never sees: it takes frames of one page, less the room that the
// kernel needs around them.
constexpr std::size_t max_frame = 3520;

// All checksums are right, but for those of a malformed header. What the packet does not say
// is zero.
Result<Bytes> frame_of(const Packet &packet);

} // namespace evnf::efw
