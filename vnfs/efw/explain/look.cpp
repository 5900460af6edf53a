// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/explain/look.hpp"

#include <algorithm>

namespace evnf::efw
{

namespace
{

template <class Value>
bool allows(const match::Field<Value> &field, const Value &value)
{
    if (!field.asked())
        return true;
    const bool in = std::any_of(field.ranges.begin(), field.ranges.end(),
                                [&](const auto &r) { return r.first <= value && value <= r.last; });
    return in != field.negated;
}

// What not every packet has is asked of those that have it.
template <class Value>
bool allows(const match::Field<Value> &field, bool there, const Value &value)
{
    return !field.asked() || (there && allows(field, value));
}

bool asks_for_port(const match::SetUse &use)
{
    return use.key != match::SetKey::saddr && use.key != match::SetKey::daddr;
}

bool allows(const match::SetUse &use, const Packet &p)
{
    const bool member = std::any_of(p.sets.begin(), p.sets.end(), [&](const auto &known) {
        return known.key == use.key && known.set == use.set && !known.negated;
    });
    return member != use.negated;
}

bool network_allows(const match::Match &m, const Packet &p)
{
    return (!m.family || m.family == p.family()) && allows(m.src, p.src) && allows(m.dst, p.dst) &&
           (!m.in.asked() || m.in.allows(p.in)) &&
           allows(m.vlan, p.vlan.has_value(), p.vlan.value_or(0)) && allows(m.dscp, p.dscp) &&
           allows(m.fragment, static_cast<std::uint8_t>(p.fragment)) &&
           allows(m.length, p.length) &&
           std::all_of(m.sets.begin(), m.sets.end(),
                       [&](const auto &use) { return asks_for_port(use) || allows(use, p); });
}

bool header_allows(const match::Match &m, const Packet &p)
{
    const auto transport = p.transport();
    const bool ports = has_ports(transport);
    return allows(m.sport, ports, p.sport) && allows(m.dport, ports, p.dport) &&
           allows(m.icmp, transport == Transport::icmp, p.icmp) &&
           (!m.tcp_flags.asked() ||
            (transport == Transport::tcp && m.tcp_flags.allows(p.tcp_flags))) &&
           std::all_of(m.sets.begin(), m.sets.end(), [&](const auto &use) {
               return !asks_for_port(use) || (ports && allows(use, p));
           });
}

bool asks_for_header(const match::Match &m)
{
    return m.sport.asked() || m.dport.asked() || m.icmp.asked() || m.tcp_flags.asked() ||
           std::any_of(m.sets.begin(), m.sets.end(), asks_for_port);
}

} // namespace

Seen look(const match::Match &m, const Packet &p)
{
    const auto transport = p.transport();
    const bool read = transport != Transport::unread;
    if (!network_allows(m, p) || (read && !allows(m.protocol, p.protocol)))
        return Seen::no;
    if (!hides_header(transport))
        return header_allows(m, p) ? Seen::yes : Seen::no;
    const bool unseen = asks_for_header(m) || (!read && m.protocol.asked());
    return unseen ? Seen::unseen : Seen::yes;
}

} // namespace evnf::efw
