// SPDX-License-Identifier: GPL-2.0-or-later
// Reads captures, pcap and pcapng, by libpcap.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace evnf::capture
{

struct Packet {
    std::vector<std::uint8_t> bytes; // as many as the capture has
    std::size_t length;              // on the wire
    std::uint64_t ns;                // of the Unix epoch
};

struct Capture {
    int link; // DLT_*
    std::vector<Packet> packets;
};

Result<Capture> read(const std::string &path);

// "EN10MB", as libpcap has it.
std::string link_name(int link);
// Whether to_ethernet() knows the link type; else why not.
Result<> check_link(int link);
// The packet as an Ethernet frame: what another link has before the IP header is replaced. None
// if it is no IP packet there.
std::optional<std::vector<std::uint8_t>> to_ethernet(int link, std::span<const std::uint8_t> bytes);

} // namespace evnf::capture
