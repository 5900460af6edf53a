// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/pcap.hpp"

#include <pcap/dlt.h>

#include <algorithm>

#include "capture/capture.hpp"

namespace evnf::efw
{

namespace
{

// As far as what was cut off is filled in: XDP takes no longer frames, and a small file must not
// claim gigabytes.
constexpr std::size_t filled = 4096;

} // namespace

Result<std::vector<Captured>> read_pcap(const std::string &path)
{
    auto capture = capture::read(path);
    if (!capture)
        return capture.error();
    if (capture->link != DLT_EN10MB)
        return bad_input(path + ": its link type is " + capture::link_name(capture->link) +
                         ", not Ethernet");
    std::vector<Captured> out;
    for (auto &packet : capture->packets) {
        packet.bytes.resize(
            std::max(packet.bytes.size(), std::min<std::size_t>(packet.length, filled)));
        out.push_back(std::move(packet.bytes));
    }
    return out;
}

} // namespace evnf::efw
