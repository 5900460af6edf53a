// SPDX-License-Identifier: GPL-2.0-or-later
// What of a packet that came by a worker's ring nDPI is to read.
#pragma once

#include <optional>
#include <vector>

#include "vnfs/edpi/abi.h"
#include "vnfs/vnf.hpp"

namespace evnf::edpi
{

struct Copied {
    std::uint32_t slot; // of its flow, when it was copied
    edpi_key key;
    // The datagram, as far as there is of it, which its length field says.
    std::span<const std::uint8_t> ip;
    std::vector<std::uint8_t> cut; // of one that was cut: where `ip` is
};

// A view of the packet; none if it has not even a whole IP header without options.
std::optional<Copied> copied(const SlowPacket &packet);
// From the IP header on; empty if that is not whole.
std::span<const std::uint8_t> ip_of(std::span<const std::uint8_t> frame, unsigned l3_off,
                                    unsigned family);

} // namespace evnf::edpi
