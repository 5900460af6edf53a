// SPDX-License-Identifier: GPL-2.0-or-later
// Packets at the edges of netfilter's rules, and the counters of those rules.
#pragma once

#include <map>
#include <random>
#include <string>
#include <vector>

#include "support/environment.hpp"
#include "support/frame.hpp"
#include "support/netfilter_lab.hpp"
#include "vnfs/efw/offload/plan.hpp"

namespace evnf::test
{

namespace offload = evnf::efw::offload;

struct Sent {
    Frame frame;
    offload::Packet packet;
    std::uint8_t dscp = 0;
    unsigned link = 0;
    bool bad_checksum = false;
};

// Values at which some rule changes its mind.
struct Edges {
    std::vector<Address> addresses[2]; // IPv4, IPv6
    std::vector<std::uint16_t> ports{0, 1, 40, 65535}, icmp{8 << 8, 128 << 8};
    std::vector<match::Match> matches;

    void add(const Address &a) { addresses[a.is_v4() ? 0 : 1].push_back(a); }

    void add(const match::Match &m)
    {
        for (const auto *field : {&m.src, &m.dst})
            for (const auto &r : field->ranges)
                for (const auto &a : {r.first, r.last, match::Space<Address>::before(r.first),
                                      match::Space<Address>::after(r.last)})
                    add(a);
        for (const auto *field : {&m.sport, &m.dport})
            for (const auto &r : field->ranges)
                for (const int p : {r.first - 1, +r.first, +r.last, r.last + 1})
                    ports.push_back(static_cast<std::uint16_t>(p));
        for (const auto &r : m.icmp.ranges)
            for (const int t : {r.first - 1, +r.first, +r.last, r.last + 1})
                icmp.push_back(static_cast<std::uint16_t>(t));
        matches.push_back(m);
    }

    explicit Edges(const offload::Ruleset &rules)
    {
        for (const auto *text : {"10.1.0.1", "10.1.1.1", "10.1.0.9", "192.0.2.1", "203.0.113.5",
                                 "10.1.0.255", "10.1.2.9"})
            add(*Address::parse(text));
        for (const auto *text : {"2001:db8::1", "2001:db8::9", "2001:db8:77::5", "2001:db8:2::9"})
            add(*Address::parse(text));
        for (const auto &t : rules.tables)
            for (const auto &c : t.chains)
                for (const auto &r : c.rules)
                    for (const auto &s : r.steps) {
                        if (const auto *is = std::get_if<offload::IsOneOf>(&s))
                            for (const auto &m : is->matches)
                                add(m);
                        if (const auto *map = std::get_if<offload::DecideByMap>(&s))
                            for (const auto &e : map->elements)
                                add(e.first);
                    }
    }
};

class Packets
{
public:
    Packets(const offload::Ruleset &rules, unsigned seed) : edges_(rules), random_(seed) {}

    unsigned below(std::size_t n) { return static_cast<unsigned>(random_() % n); }
    template <class T>
    const T &any(const std::vector<T> &of)
    {
        return of[below(of.size())];
    }

    Sent next(int family)
    {
        static const std::vector<std::uint8_t> protocols{6, 6, 6, 17, 17, 1, 58, 132, 50, 47};
        static const std::vector<std::uint8_t> flags{2, 2, 2, 16, 18, 0, 1, 4, 20, 41, 3, 0xc2};
        Sent s;
        const auto &addresses = edges_.addresses[family == 4 ? 0 : 1];
        s.packet.family = family;
        s.packet.src = any(addresses);
        s.packet.dst = any(addresses);
        s.packet.protocol = any(protocols);
        s.packet.sport = any(edges_.ports);
        s.packet.dport = any(edges_.ports);
        s.packet.tcp_flags = any(flags);
        s.packet.icmp = any(edges_.icmp);
        s.link = below(2);
        s.dscp = static_cast<std::uint8_t>(below(3) ? 0 : below(2) ? 10 : 46);
        s.frame.payload.resize(below(2) ? 8 : below(60), 0x5a);
        if (!edges_.matches.empty() && below(4))
            follow(s, any(edges_.matches));
        s.bad_checksum = below(16) == 0;
        finish(s);
        return s;
    }

    // The frame of the packet.
    static void finish(Sent &s)
    {
        offload::Packet &p = s.packet;
        Frame &f = s.frame;
        f.src = p.src.text();
        f.dst = p.dst.text();
        f.proto = p.protocol;
        f.dmac = {2, 0, 0, 0, 1, static_cast<std::uint8_t>(s.link ? 2 : 0)};
        f.sport = p.sport;
        f.dport = p.dport;
        f.tcp_flags = p.tcp_flags;
        f.icmp_type = static_cast<std::uint8_t>(p.icmp >> 8);
        f.icmp_code = static_cast<std::uint8_t>(p.icmp);
        p.in = NetfilterLab::links[s.link];
        p.dscp = s.dscp;
        const Layout at = layout(f);
        p.length = static_cast<std::uint16_t>(at.end - at.l3);
    }

private:
    template <class Value>
    void draw(Value &value, const match::Field<Value> &field)
    {
        if (!field.asked())
            return;
        const auto &r = any(field.ranges);
        value = below(2) ? r.first : r.last;
    }
    // Makes the packet one that the rule means, at an edge of it.
    void follow(Sent &s, const match::Match &m)
    {
        if (m.family && m.family != s.packet.family)
            return;
        if (!m.src.negated)
            draw(s.packet.src, m.src);
        if (!m.dst.negated)
            draw(s.packet.dst, m.dst);
        if (!m.protocol.negated)
            draw(s.packet.protocol, m.protocol);
        draw(s.packet.sport, m.sport);
        draw(s.packet.dport, m.dport);
        draw(s.packet.icmp, m.icmp);
        if (m.tcp_flags.asked() && below(3))
            s.packet.tcp_flags = m.tcp_flags.value;
        draw(s.dscp, m.dscp);
    }
    Edges edges_;
    std::mt19937 random_;
};

// The frame with its number, by which it is known again.
inline Bytes numbered(const Sent &s, std::uint32_t number)
{
    Bytes b = build(s.frame);
    const std::size_t l3 = 14;
    if (s.packet.family == 4) {
        b[l3 + 1] = static_cast<std::uint8_t>(s.dscp << 2);
        b[l3 + 4] = static_cast<std::uint8_t>(number >> 8);
        b[l3 + 5] = static_cast<std::uint8_t>(number);
        b[l3 + 10] = b[l3 + 11] = 0;
        const auto sum = plain_checksum(plain_sum(&b[l3], 20));
        b[l3 + 10] = static_cast<std::uint8_t>(sum >> 8);
        b[l3 + 11] = static_cast<std::uint8_t>(sum);
    } else {
        b[l3] = static_cast<std::uint8_t>(0x60 | s.dscp >> 2);
        b[l3 + 1] = static_cast<std::uint8_t>(s.dscp << 6 | number >> 16);
        b[l3 + 2] = static_cast<std::uint8_t>(number >> 8);
        b[l3 + 3] = static_cast<std::uint8_t>(number);
    }
    if (s.bad_checksum && (s.frame.proto == 6 || s.frame.proto == 17))
        b[layout(s.frame).l4 + (s.frame.proto == 6 ? 16 : 6)] ^= 0x55;
    return b;
}

inline std::map<std::string, std::uint64_t> counters_of(const offload::Ruleset &rules, bool legacy)
{
    std::map<std::string, std::uint64_t> out;
    for (const auto &t : rules.tables)
        for (const auto &c : t.chains) {
            const std::string base = std::to_string(static_cast<int>(t.family)) + t.name +
                                     (t.legacy ? " legacy " : " ") + c.name + " ";
            // Policies are counted by all that passes, the router's own packets too; chains of
            // the other iptables are empty then, and come before or after, nobody knows.
            const bool of_passing = c.hook == offload::Hook::output ||
                                    c.hook == offload::Hook::postrouting || t.name == "nat";
            if (t.legacy && legacy && c.counters && !of_passing)
                out[base + "0"] = c.counters->packets;
            for (const auto &r : c.rules)
                if (r.counters)
                    out[base + std::to_string(r.number)] = r.counters->packets;
        }
    return out;
}

inline std::string counter_key(const offload::Origin &o)
{
    return std::to_string(static_cast<int>(o.family)) + o.table + (o.legacy ? " legacy " : " ") +
           o.chain + " " + std::to_string(o.number);
}

} // namespace evnf::test
