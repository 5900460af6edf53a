// SPDX-License-Identifier: GPL-2.0-or-later
// Reads captures of Ethernet, pcap or pcapng.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace evnf::efw
{

// As long as it was on the wire: what the capture has not kept of it is zero, and left out of
// what is longer than any frame that XDP takes.
using Captured = std::vector<std::uint8_t>;

Result<std::vector<Captured>> read_pcap(const std::string &path);

} // namespace evnf::efw
