// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/analysis/space.hpp"

#include <netinet/in.h>

#include <algorithm>
#include <map>

namespace evnf::efw::analysis
{

namespace
{

constexpr std::array<std::uint8_t, 5> preferred_flags{0x02, 0x10, 0x12, 0x18, 0x11};
constexpr std::uint16_t no_tag = 4096; // stands for a packet without a VLAN tag
constexpr std::uint16_t max_vlan = 4095;
constexpr std::uint8_t max_dscp = 63;

Address address(std::string_view text)
{
    auto a = Address::parse(text);
    return a ? *a : Address();
}

const match::Ranges<Address> &v4_addresses()
{
    static const match::Ranges<Address> out{
        match::range_of(Prefix{.address = address("0.0.0.0"), .length = 0})};
    return out;
}

bool asks_for_port(match::SetKey key)
{
    return key != match::SetKey::saddr && key != match::SetKey::daddr;
}

// Adds what a match asks of one field. False if no packet of the world has it.
bool add(Box &box, const World &world, unsigned field, const Set &asked)
{
    Set set = match::intersection(asked, world.whole[field]);
    if (set.empty())
        return false;
    if (set != world.whole[field])
        box.push_back({field, std::move(set)});
    return true;
}

// Not the first address of a network, which no host has, where there is another one.
Address host(const Classes<Address> &classes, const Set &set, const std::vector<Address> &wanted)
{
    const Address first = classes.value(set, wanted);
    const Address next = match::Space<Address>::after(first);
    const bool chosen = std::find(wanted.begin(), wanted.end(), first) != wanted.end();
    return !chosen && classes.of(next) == classes.of(first) ? next : first;
}

template <class Value>
bool add(Box &box, const World &world, unsigned field, const match::Field<Value> &asked,
         const Classes<Value> &classes)
{
    return !asked.asked() || add(box, world, field, classes.of(asked.values()));
}

} // namespace

Space::Space(std::span<const Rule *const> rules)
{
    for (const Rule *rule : rules)
        cut(rule->match);
    number_flags(rules);
    number();
    std::transform(all_kinds().begin(), all_kinds().end(), worlds_.begin(),
                   [&](const Kind &kind) { return make_world(kind); });
}

void Space::cut(const match::Match &m)
{
    src_.cut(m.src.ranges);
    dst_.cut(m.dst.ranges);
    protocol_.cut(m.protocol.ranges);
    sport_.cut(m.sport.ranges);
    dport_.cut(m.dport.ranges);
    icmp_.cut(m.icmp.ranges);
    vlan_.cut(m.vlan.ranges);
    dscp_.cut(m.dscp.ranges);
    fragment_.cut(m.fragment.ranges);
    length_.cut(m.length.ranges);
    in_.cut(m.in);
    for (const auto &use : m.sets)
        sets_.emplace_back(use.key, use.set);
}

// Flags are of one class if every rule says the same of them.
void Space::number_flags(std::span<const Rule *const> rules)
{
    std::vector<match::TcpFlags> asked;
    for (const Rule *rule : rules)
        if (const auto &f = rule->match.tcp_flags;
            f.asked() && std::find(asked.begin(), asked.end(), f) == asked.end())
            asked.push_back(f);
    std::map<std::vector<bool>, bool> known;
    const auto take = [&](std::uint8_t flags) {
        std::vector<bool> answers;
        for (const auto &a : asked)
            answers.push_back(a.allows(flags));
        if (known.emplace(answers, true).second)
            flags_.push_back(flags);
    };
    for (const auto flags : preferred_flags)
        take(flags);
    for (unsigned flags = 0; flags < 256; ++flags)
        take(static_cast<std::uint8_t>(flags));
}

void Space::number()
{
    src_.cut(v4_addresses());
    dst_.cut(v4_addresses());
    vlan_.cut({{0, max_vlan}, {no_tag, no_tag}});
    dscp_.cut({{0, max_dscp}});
    for (const auto &kind : all_kinds()) {
        protocol_.cut(kind.protocols);
        fragment_.cut(kind.fragments);
        length_.cut({kind.lengths});
    }
    src_.number();
    dst_.number();
    protocol_.number();
    sport_.number();
    dport_.number();
    icmp_.number();
    vlan_.number();
    dscp_.number();
    fragment_.number();
    length_.number();
    in_.number();
    std::sort(sets_.begin(), sets_.end());
    sets_.erase(std::unique(sets_.begin(), sets_.end()), sets_.end());
}

World Space::make_world(const Kind &kind) const
{
    const auto v4 = v4_addresses();
    const auto own = kind.family == 4 ? v4 : match::complement(v4);
    const match::Ranges<std::uint16_t> all16{{0, 0xffff}};
    World w{kind, std::vector<Set>(f_sets + sets_.size(), Set{{0, 1}})};
    w.whole[f_src] = src_.of(own);
    w.whole[f_dst] = dst_.of(own);
    w.whole[f_protocol] = protocol_.of(kind.protocols);
    w.whole[f_sport] = sport_.of(all16);
    w.whole[f_dport] = dport_.of(all16);
    w.whole[f_icmp] = icmp_.of(all16);
    w.whole[f_flags] = {{0, static_cast<Class>(flags_.size() - 1)}};
    w.whole[f_in] = in_.whole();
    w.whole[f_vlan] = vlan_.of(match::Ranges<std::uint16_t>{{0, no_tag}});
    w.whole[f_dscp] = dscp_.of(match::Ranges<std::uint8_t>{{0, max_dscp}});
    w.whole[f_fragment] = fragment_.of(kind.fragments);
    w.whole[f_length] = length_.of(match::Ranges<std::uint16_t>{kind.lengths});
    return w;
}

Set Space::flags(const match::TcpFlags &asked) const
{
    Set out;
    for (Class c = 0; c < flags_.size(); ++c)
        if (asked.allows(flags_[c]))
            out.push_back({c, c});
    return match::normalized(std::move(out));
}

bool Space::sees(FieldId field, std::size_t world) const
{
    const Transport transport = worlds_[world].kind.transport;
    switch (field) {
    case f_sport:
    case f_dport:
    case f_icmp:
    case f_flags:
        return !hides_header(transport);
    case f_protocol:
        return transport != Transport::unread;
    default:
        return true;
    }
}

bool Space::unseen(const match::Match &m, std::size_t world) const
{
    const bool header = m.sport.asked() || m.dport.asked() || m.icmp.asked() ||
                        m.tcp_flags.asked() ||
                        std::any_of(m.sets.begin(), m.sets.end(),
                                    [](const auto &use) { return asks_for_port(use.key); });
    return (header && !sees(f_dport, world)) || (m.protocol.asked() && !sees(f_protocol, world));
}

std::optional<Box> Space::box(const match::Match &m, std::size_t world) const
{
    const World &w = worlds_[world];
    const Transport transport = w.kind.transport;
    const bool hidden = hides_header(transport), ports = has_ports(transport);
    const bool absent = (!ports && (m.sport.asked() || m.dport.asked())) ||
                        (transport != Transport::icmp && m.icmp.asked()) ||
                        (transport != Transport::tcp && m.tcp_flags.asked());
    if ((absent && !hidden) || (m.family && m.family != w.kind.family))
        return std::nullopt;
    Box out;
    match::Field<std::uint16_t> vlan = m.vlan;
    if (vlan.asked()) // only of a tag: a packet without one is not meant
        vlan = {match::intersection(m.vlan.values(), {{0, max_vlan}}), false};
    if (m.vlan.asked() && vlan.ranges.empty())
        return std::nullopt;
    const bool some =
        add(out, w, f_src, m.src, src_) && add(out, w, f_dst, m.dst, dst_) &&
        (!sees(f_protocol, world) || add(out, w, f_protocol, m.protocol, protocol_)) &&
        (hidden || (add(out, w, f_sport, m.sport, sport_) &&
                    add(out, w, f_dport, m.dport, dport_) && add(out, w, f_icmp, m.icmp, icmp_) &&
                    (!m.tcp_flags.asked() || add(out, w, f_flags, flags(m.tcp_flags))))) &&
        (!m.in.asked() || add(out, w, f_in, in_.of(m.in))) && add(out, w, f_vlan, vlan, vlan_) &&
        add(out, w, f_dscp, m.dscp, dscp_) && add(out, w, f_fragment, m.fragment, fragment_) &&
        add(out, w, f_length, m.length, length_);
    if (!some)
        return std::nullopt;
    return add_sets(std::move(out), m, hidden, ports);
}

std::optional<Box> Space::add_sets(Box box, const match::Match &m, bool hidden, bool ports) const
{
    for (const auto &use : m.sets) {
        if (asks_for_port(use.key) && hidden)
            continue;
        if (asks_for_port(use.key) && !ports)
            return std::nullopt;
        const auto at = std::lower_bound(sets_.begin(), sets_.end(), SetId(use.key, use.set));
        const auto field = f_sets + static_cast<unsigned>(at - sets_.begin());
        const Class member = use.negated ? 0 : 1;
        if (const Set *known = set_of(box, field); known && known->front().first != member)
            return std::nullopt;
        narrow(box, field, {{member, member}});
    }
    return box;
}

Packet Space::packet(const Box &box, std::size_t world) const
{
    static const std::vector<Address> sources{address("198.51.100.7"), address("203.0.113.7"),
                                              address("2001:db8:1::7"), address("2001:db8:2::7")};
    static const std::vector<Address> targets{address("192.0.2.10"), address("203.0.113.10"),
                                              address("2001:db8::10"), address("2001:db8:3::10")};
    const World &w = worlds_[world];
    const auto set = [&](unsigned field) -> const Set & {
        const Set *own = set_of(box, field);
        return own ? *own : w.whole[field];
    };
    Packet p;
    p.src = host(src_, set(f_src), sources);
    p.dst = host(dst_, set(f_dst), targets);
    const Transport transport = w.kind.transport;
    p.header = transport == Transport::unread      ? Header::unread
               : transport == Transport::malformed ? Header::malformed
                                                   : Header::whole;
    if (transport != Transport::unread)
        p.protocol = protocol_.value(set(f_protocol), {IPPROTO_UDP, IPPROTO_TCP, IPPROTO_GRE});
    p.fragment = static_cast<pkt_frag>(fragment_.value(set(f_fragment), {PKT_FRAG_LATER}));
    if (has_ports(transport)) {
        p.sport = sport_.value(set(f_sport), {4000, 40000});
        p.dport = dport_.value(set(f_dport), {80, 443, 9000});
    }
    if (transport == Transport::icmp)
        p.icmp = icmp_.value(set(f_icmp),
                             {static_cast<std::uint16_t>((w.kind.family == 4 ? 8 : 128) << 8)});
    if (transport == Transport::tcp)
        p.tcp_flags = flags_[set(f_flags).front().first];
    p.in = in_.value(set(f_in));
    if (const auto vlan = vlan_.value(set(f_vlan), {no_tag, 100}); vlan != no_tag)
        p.vlan = vlan;
    p.dscp = dscp_.value(set(f_dscp), {0});
    p.length = length_.value(set(f_length), {w.kind.lengths.first});
    for (std::size_t i = 0; i < sets_.size(); ++i)
        if (const Set *own = set_of(box, f_sets + static_cast<unsigned>(i)))
            p.sets.push_back({sets_[i].first, sets_[i].second, own->front().first == 0});
    return p;
}

} // namespace evnf::efw::analysis
