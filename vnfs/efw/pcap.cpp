// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/pcap.hpp"

#include <pcap/dlt.h>

#include <algorithm>

#include "capture/capture.hpp"

namespace evnf::efw
{

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
        packet.bytes.resize(std::max(packet.bytes.size(), packet.length));
        out.push_back(std::move(packet.bytes));
    }
    return out;
}

} // namespace evnf::efw
