// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/edpi/copied.hpp"

#include "vnfs/edpi/key.h"

namespace evnf::edpi
{

namespace
{

constexpr std::size_t ip4_header = 20, ip6_header = 40;

// nDPI believes the length field: it must not be beyond the bytes there.
void shorten(std::vector<std::uint8_t> &ip, unsigned family)
{
    const std::size_t at = family == 4 ? 2 : 4; // the field
    const std::size_t length = family == 4 ? ip.size() : ip.size() - ip6_header;
    ip[at] = static_cast<std::uint8_t>(length >> 8);
    ip[at + 1] = static_cast<std::uint8_t>(length);
}

} // namespace

std::span<const std::uint8_t> ip_of(std::span<const std::uint8_t> frame, unsigned l3_off,
                                    unsigned family)
{
    const std::size_t least = l3_off + (family == 4 ? ip4_header : ip6_header);
    return frame.size() < least ? std::span<const std::uint8_t>() : frame.subspan(l3_off);
}

std::optional<Copied> copied(const SlowPacket &packet)
{
    const pkt &p = packet.head->pkt;
    Copied out{packet.head->note, {}, {}, {}};
    edpi_key_of(&p, &out.key);
    out.ip = ip_of(packet.frame, p.l3_off, out.key.family);
    if (out.ip.empty())
        return std::nullopt;
    if (packet.frame.size() < p.l3_end) {
        out.cut.assign(out.ip.begin(), out.ip.end());
        shorten(out.cut, out.key.family);
        out.ip = out.cut;
    }
    return out;
}

} // namespace evnf::edpi
