// SPDX-License-Identifier: GPL-2.0-or-later
// Writes packets for Wireshark and its like: pcapng, draft-ietf-opsawg-pcapng.
#pragma once

#include <cstdint>
#include <ostream>
#include <span>
#include <string_view>

namespace evnf::cli
{

// One section of Ethernet frames. Each block reaches the stream whole and is flushed,
// so that a reader at the other end of a pipe sees a packet when it is written. Whether
// writing succeeded is the stream's state to tell.
class PcapNg
{
public:
    explicit PcapNg(std::ostream &out);

    // A new interface's id, for packet(). libpcap, and so tcpdump, reads a file only if
    // the snaplen is the same for all its interfaces.
    std::uint32_t interface(std::string_view name, std::uint32_t snaplen);

    // `bytes` are the first of a frame that was `length` bytes long, seen `nanoseconds`
    // after the start of 1970 (UTC). The comment is UTF-8; an empty one is left out, a
    // longer one than the format's 65535 bytes cut.
    void packet(std::uint32_t interface, std::uint64_t nanoseconds,
                std::span<const std::uint8_t> bytes, std::uint32_t length,
                std::string_view comment = {});

private:
    std::ostream &out_;
    std::uint32_t interfaces_ = 0;
};

} // namespace evnf::cli
