// SPDX-License-Identifier: GPL-2.0-or-later
#include "support/efw_universe.hpp"

#include <algorithm>

namespace evnf::efw::universe
{

namespace
{

template <class Value>
bool allows(const match::Field<Value> &field, bool there, const Value &value)
{
    if (field.ranges.empty())
        return true;
    if (!there)
        return false;
    bool in = false;
    for (const auto &r : field.ranges)
        in = in || (r.first <= value && value <= r.last);
    return in != field.negated;
}

bool comes_by(const match::Interfaces &asked, const std::string &name)
{
    bool in = asked.names.empty();
    for (const auto &n : asked.names)
        in = in || n == name || (n.back() == '*' && name.starts_with(n.substr(0, n.size() - 1)));
    return in != asked.negated;
}

bool is_in(const Packet &p, const match::SetUse &use)
{
    bool in = false;
    for (const auto &known : p.sets)
        in = in || (known.key == use.key && known.set == use.set && !known.negated);
    return in != use.negated;
}

bool is_of_port(const match::SetUse &use)
{
    return use.key != match::SetKey::saddr && use.key != match::SetKey::daddr;
}

// What a packet shows that is whole or not.
bool network_allows(const match::Match &m, const Packet &p)
{
    for (const auto &use : m.sets)
        if (!is_of_port(use) && !is_in(p, use))
            return false;
    return (!m.family || m.family == p.family()) && allows(m.src, true, p.src) &&
           allows(m.dst, true, p.dst) && comes_by(m.in, p.in) &&
           allows(m.vlan, p.vlan.has_value(), p.vlan.value_or(0)) && allows(m.dscp, true, p.dscp) &&
           allows(m.fragment, true, static_cast<std::uint8_t>(p.fragment)) &&
           allows(m.length, true, p.length);
}

bool header_allows(const match::Match &m, const Packet &p)
{
    const auto transport = p.transport();
    const bool ports = has_ports(transport);
    if (m.tcp_flags.mask &&
        (transport != Transport::tcp ||
         ((p.tcp_flags & m.tcp_flags.mask) == m.tcp_flags.value) == m.tcp_flags.negated))
        return false;
    for (const auto &use : m.sets)
        if (is_of_port(use) && (!ports || !is_in(p, use)))
            return false;
    return allows(m.sport, ports, p.sport) && allows(m.dport, ports, p.dport) &&
           allows(m.icmp, transport == Transport::icmp, p.icmp);
}

bool asks_for_header(const match::Match &m)
{
    return !m.sport.ranges.empty() || !m.dport.ranges.empty() || !m.icmp.ranges.empty() ||
           m.tcp_flags.mask != 0 || std::any_of(m.sets.begin(), m.sets.end(), is_of_port);
}

} // namespace

Seen look(const match::Match &m, const Packet &p)
{
    if (!network_allows(m, p))
        return Seen::no;
    const bool no_header = p.fragment != PKT_FRAG_NONE || p.header != Header::whole;
    if (p.header == Header::unread) {
        if (!m.protocol.ranges.empty() || asks_for_header(m))
            return Seen::unseen;
        return Seen::yes;
    }
    if (!allows(m.protocol, true, p.protocol))
        return Seen::no;
    if (no_header && asks_for_header(m))
        return Seen::unseen;
    return no_header || header_allows(m, p) ? Seen::yes : Seen::no;
}

Fate fate(const std::vector<Rule> &rules, efw_action otherwise, const Packet &packet)
{
    Fate out{{}, rules.size(), otherwise};
    for (std::size_t i = 0; i < rules.size(); ++i) {
        const Seen seen = look(rules[i].match, packet);
        if (seen == Seen::no || (seen == Seen::yes && rules[i].action == EFW_COUNT))
            continue;
        if (seen == Seen::unseen) {
            out.rule = i;
            out.action = EFW_SLOW;
            break;
        }
        if (rules[i].limit) {
            out.before.push_back(i);
            continue;
        }
        out.rule = i;
        out.action = rules[i].action;
        break;
    }
    return out;
}

Fate without_idle(const std::vector<Rule> &rules, Fate fate)
{
    while (!fate.before.empty() && rules[fate.before.back()].action == fate.action)
        fate.before.pop_back();
    return fate;
}

} // namespace evnf::efw::universe
