// SPDX-License-Identifier: GPL-2.0-or-later
// A plan read as plainly as it is written: the fast path's model.
#include <algorithm>

#include "vnfs/efw/offload/plan.hpp"

namespace evnf::efw::offload
{

namespace
{

bool has_ports(std::uint8_t protocol)
{
    return protocol == 6 || protocol == 17 || protocol == 132;
}

bool allows(const match::Match &m, const Packet &p)
{
    const bool in = std::find(m.in.names.begin(), m.in.names.end(), p.in) != m.in.names.end();
    const bool icmp = p.protocol == (p.family == 4 ? 1 : 58);
    if (((m.sport.asked() || m.dport.asked()) && !has_ports(p.protocol)) ||
        (m.icmp.asked() && !icmp) || (m.tcp_flags.asked() && p.protocol != 6))
        return false;
    return (!m.family || m.family == p.family) && m.src.allows(p.src) && m.dst.allows(p.dst) &&
           m.protocol.allows(p.protocol) && m.sport.allows(p.sport) && m.dport.allows(p.dport) &&
           m.icmp.allows(p.icmp) && (!m.tcp_flags.asked() || m.tcp_flags.allows(p.tcp_flags)) &&
           (!m.in.asked() || in != m.in.negated) && m.dscp.allows(p.dscp) &&
           m.length.allows(p.length);
}

} // namespace

const Decision *decide(const Plan &plan, const Packet &packet)
{
    for (const auto &d : plan.decisions)
        if (allows(d.rule.match, packet))
            return d.rule.action != EFW_SLOW && (d.conditions & ~packet.holds) == 0 ? &d : nullptr;
    return nullptr;
}

} // namespace evnf::efw::offload
