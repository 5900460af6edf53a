// SPDX-License-Identifier: GPL-2.0-or-later
// What fast paths write into the workers' rings: bpf/lib/copy.h.
#pragma once

#include <optional>

#include "vnfs/vnf.hpp"

namespace evnf
{

// A view of the record, which stands where a copy_head may. None: it is cut short.
std::optional<SlowPacket> packet_of_record(std::span<const std::byte> record);

} // namespace evnf
