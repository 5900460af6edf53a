// SPDX-License-Identifier: GPL-2.0-or-later
#include "support/efw_model.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

namespace evnf::efw::model
{

namespace
{

bool within(const match::Range<Address> &r, const ip_addr &a)
{
    return std::memcmp(&r.first.raw(), &a, sizeof a) <= 0 &&
           std::memcmp(&a, &r.last.raw(), sizeof a) <= 0;
}

bool within(const match::Range<std::uint16_t> &r, unsigned v)
{
    return r.first <= v && v <= r.last;
}

bool within(const match::Range<std::uint8_t> &r, unsigned v)
{
    return r.first <= v && v <= r.last;
}

template <class Value, class Given>
bool allows(const match::Field<Value> &field, const Given &given)
{
    if (field.ranges.empty())
        return true;
    const bool in = std::any_of(field.ranges.begin(), field.ranges.end(),
                                [&](const auto &r) { return within(r, given); });
    return in != field.negated;
}

// "lan0", or "lan*" for all that begin so.
bool is_named(const std::string &pattern, const std::string &name)
{
    if (pattern.empty() || pattern.back() != '*')
        return pattern == name;
    return name.compare(0, pattern.size() - 1, pattern, 0, pattern.size() - 1) == 0;
}

bool comes_in(const match::Interfaces &in, const pkt &p, const World &world)
{
    if (in.names.empty())
        return true;
    const std::string &name = world.interfaces.at(p.ifindex);
    const bool named = std::any_of(in.names.begin(), in.names.end(),
                                   [&](const auto &pattern) { return is_named(pattern, name); });
    return named != in.negated;
}

bool uses_port(match::SetKey key)
{
    return key != match::SetKey::saddr && key != match::SetKey::daddr;
}

bool in_set(const match::SetUse &use, const pkt &p, const World &world)
{
    using match::SetKey;
    const bool source =
        use.key == SetKey::saddr || use.key == SetKey::sport || use.key == SetKey::saddr_sport;
    const ip_addr &address = source ? p.flow.saddr : p.flow.daddr;
    const unsigned port = ntohs(source ? p.flow.sport : p.flow.dport);
    const Set &set = world.sets.at(use.set);
    const bool in = std::any_of(set.begin(), set.end(), [&](const Element &e) {
        // An IPv6 packet may have an address that looks like one of IPv4.
        const bool family = !e.address || e.address->first.family() == p.flow.family;
        return family && (!e.address || within(*e.address, address)) &&
               (!e.port || within(*e.port, port));
    });
    return in != use.negated;
}

bool asks_transport(const match::Match &m)
{
    return m.sport.asked() || m.dport.asked() || m.icmp.asked() || m.tcp_flags.asked() ||
           std::any_of(m.sets.begin(), m.sets.end(),
                       [](const auto &use) { return uses_port(use.key); });
}

// What every packet shows of itself.
bool network_allows(const match::Match &m, const pkt &p, const World &world)
{
    if (m.family && m.family != p.flow.family)
        return false;
    if (!allows(m.src, p.flow.saddr) || !allows(m.dst, p.flow.daddr))
        return false;
    if (m.vlan.asked() && !p.vlans)
        return false;
    return allows(m.vlan, p.vlan_tci[0] & 0xfffU) && allows(m.dscp, unsigned{p.tos} >> 2) &&
           allows(m.fragment, unsigned{p.frag}) && allows(m.length, p.l3_end - p.l3_off) &&
           comes_in(m.in, p, world) &&
           std::all_of(m.sets.begin(), m.sets.end(), [&](const auto &use) {
               return uses_port(use.key) || in_set(use, p, world);
           });
}

// Of a packet whose layer 4 header is seen.
bool transport_allows(const match::Match &m, const pkt &p, const World &world)
{
    const bool ports = p.l4 == PKT_L4_PORTS;
    if ((m.sport.asked() || m.dport.asked()) && !ports)
        return false;
    if (!allows(m.sport, unsigned{ntohs(p.flow.sport)}) ||
        !allows(m.dport, unsigned{ntohs(p.flow.dport)}))
        return false;
    if (m.icmp.asked() && p.l4 != PKT_L4_ICMP)
        return false;
    if (!allows(m.icmp, p.icmp_type * 256U + p.icmp_code))
        return false;
    if (m.tcp_flags.asked()) {
        if (!ports || p.flow.proto != IPPROTO_TCP)
            return false;
        if (((p.tcp_flags & m.tcp_flags.mask) == m.tcp_flags.value) == m.tcp_flags.negated)
            return false;
    }
    return std::all_of(m.sets.begin(), m.sets.end(), [&](const auto &use) {
        return !uses_port(use.key) || (ports && in_set(use, p, world));
    });
}

} // namespace

Seen look(const match::Match &m, const pkt &p, const World &world)
{
    if (!network_allows(m, p, world))
        return Seen::no;
    const bool protocol_seen = p.l4 != PKT_L4_UNREAD;
    if (protocol_seen && !allows(m.protocol, unsigned{p.flow.proto}))
        return Seen::no;
    // All fragments of a datagram must meet the same rule, and only the first has ports.
    const bool transport_seen = p.frag == PKT_FRAG_NONE && protocol_seen && p.l4 != PKT_L4_BAD;
    const bool asks = asks_transport(m);
    if ((m.protocol.asked() && !protocol_seen) || (asks && !transport_seen))
        return Seen::unseen;
    return !asks || transport_allows(m, p, world) ? Seen::yes : Seen::no;
}

Model::Model(const std::vector<Rule> &rules, World world)
    : place_(rules.size()),
      world_(std::move(world))
{
    std::iota(place_.begin(), place_.end(), 0U);
    std::stable_sort(place_.begin(), place_.end(),
                     [&](auto a, auto b) { return rules[a].priority < rules[b].priority; });
    for (const auto i : place_)
        rules_.push_back(rules[i]);
}

Answer Model::decide(const pkt &p) const
{
    Answer out{{}, by_default};
    for (std::size_t i = 0; i < rules_.size(); ++i) {
        const Seen seen = look(rules_[i].match, p, world_);
        if (seen == Seen::no)
            continue;
        if (seen == Seen::yes && rules_[i].action == EFW_COUNT) {
            out.counted.push_back(place_[i]);
            continue;
        }
        out.rule = seen == Seen::yes ? static_cast<int>(place_[i]) : cannot_tell;
        break;
    }
    return out;
}

} // namespace evnf::efw::model
