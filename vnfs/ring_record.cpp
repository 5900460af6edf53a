// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/ring_record.hpp"

namespace evnf
{

std::optional<SlowPacket> packet_of_record(std::span<const std::byte> record)
{
    if (record.size() < sizeof(copy_head))
        return std::nullopt;
    const auto &head = *reinterpret_cast<const copy_head *>(record.data());
    const auto frame = record.subspan(sizeof head);
    if (head.caplen > frame.size())
        return std::nullopt;
    return SlowPacket{{reinterpret_cast<const std::uint8_t *>(frame.data()), head.caplen},
                      head.place != 0,
                      &head,
                      head.pkt.note,
                      head.pkt.l3_off};
}

} // namespace evnf
