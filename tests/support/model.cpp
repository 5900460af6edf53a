// SPDX-License-Identifier: GPL-2.0-or-later
#include "support/model.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <sstream>

namespace evnf::test
{

namespace
{

// A view of the bytes that a layer may read: reading past `end` is refused.
struct View {
    const Bytes &frame;
    std::size_t end;

    [[nodiscard]] bool has(std::size_t at, std::size_t n) const
    {
        return at <= PKT_MAX_HEADERS && at + n <= end;
    }
    [[nodiscard]] unsigned u8(std::size_t at) const { return frame.at(at); }
    [[nodiscard]] unsigned u16(std::size_t at) const { return u8(at) << 8 | u8(at + 1); }
};

ip_addr v4_at(const View &v, std::size_t at)
{
    ip_addr a{};
    auto *bytes = reinterpret_cast<std::uint8_t *>(&a);
    bytes[10] = bytes[11] = 0xff;
    std::copy_n(&v.frame[at], 4, bytes + 12);
    return a;
}

ip_addr v6_at(const View &v, std::size_t at)
{
    ip_addr a{};
    std::copy_n(&v.frame[at], 16, reinterpret_cast<std::uint8_t *>(&a));
    return a;
}

__be16 port_at(const View &v, std::size_t at)
{
    return htons(static_cast<std::uint16_t>(v.u16(at)));
}

struct Walk {
    std::size_t at;
    unsigned number;
    unsigned l4 = PKT_L4_OTHER;
    unsigned frag = PKT_FRAG_NONE;
    unsigned flags = 0;
};

bool is_extension(unsigned n)
{
    return n == 0 || n == 43 || n == 44 || n == 51 || n == 60;
}

// RFC 8200 section 4, RFC 4302: at most PKT_MAX_EXTHDRS headers are followed.
Walk walk(const View &v, std::size_t at, unsigned number)
{
    Walk w{at, number};
    for (int count = 0; is_extension(w.number); ++count) {
        if (w.frag != PKT_FRAG_NONE || count == PKT_MAX_EXTHDRS || !v.has(w.at, 8)) {
            w.l4 = PKT_L4_UNREAD;
            return w;
        }
        if (w.number == 0)
            w.flags |= PKT_F_ROUTER;
        if (w.number == 43)
            w.flags |= PKT_F_RTHDR;
        std::size_t size = (v.u8(w.at + 1) + 1) * 8;
        if (w.number == 51)
            size = (v.u8(w.at + 1) + 2) * 4;
        if (w.number == 44) {
            size = 8;
            const unsigned word = v.u16(w.at + 2);
            if (word >> 3)
                w.frag = PKT_FRAG_LATER;
            else if (word & 1)
                w.frag = PKT_FRAG_FIRST;
        }
        if (w.at + size > v.end) {
            w.l4 = PKT_L4_UNREAD;
            return w;
        }
        w.number = v.u8(w.at);
        w.at += size;
    }
    if (w.frag == PKT_FRAG_LATER)
        w.l4 = PKT_L4_FRAGMENT;
    return w;
}

bool carries_ports(unsigned proto)
{
    return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP;
}

void quoted(pkt &p, const View &v, std::size_t at)
{
    Walk w{at, 0};
    if (p.flow.family == 4) {
        if (!v.has(at, 20) || v.u8(at) >> 4 != 4 || (v.u8(at) & 15) < 5)
            return;
        p.quoted.saddr = v4_at(v, at + 12);
        p.quoted.daddr = v4_at(v, at + 16);
        w.number = v.u8(at + 9);
        w.at = at + (v.u8(at) & 15) * 4;
        if (v.u16(at + 6) & 0x1fff)
            w.l4 = PKT_L4_FRAGMENT;
        else if (w.at > v.end)
            w.l4 = PKT_L4_UNREAD;
    } else {
        if (!v.has(at, 40) || v.u8(at) >> 4 != 6)
            return;
        p.quoted.saddr = v6_at(v, at + 8);
        p.quoted.daddr = v6_at(v, at + 24);
        w = walk(v, at + 40, v.u8(at + 6));
    }
    p.flags |= PKT_F_QUOTED;
    p.quoted.family = p.flow.family;
    p.quoted.proto = static_cast<__u8>(w.number);
    p.quoted_l3_off = static_cast<__u16>(at);
    if (w.l4 == PKT_L4_OTHER && carries_ports(w.number)) {
        w.l4 = PKT_L4_UNREAD;
        if (v.has(w.at, 4)) {
            w.l4 = PKT_L4_PORTS;
            p.quoted.sport = port_at(v, w.at);
            p.quoted.dport = port_at(v, w.at + 2);
            p.quoted_l4_off = static_cast<__u16>(w.at);
        }
    }
    p.quoted_l4 = static_cast<__u8>(w.l4);
}

bool is_error(const pkt &p)
{
    if (p.flow.family == 6)
        return p.icmp_type >= 1 && p.icmp_type <= 4;
    for (const int type : {3, 4, 5, 11, 12})
        if (p.icmp_type == type)
            return true;
    return false;
}

void upper_layer(pkt &p, const View &v, std::size_t at)
{
    p.l4_off = static_cast<__u16>(at);
    p.l4 = PKT_L4_BAD;
    const bool whole = p.frag == PKT_FRAG_NONE;
    const unsigned proto = p.flow.proto;
    const bool icmp = proto == (p.flow.family == 4 ? 1U : 58U);
    bool good = false;
    if (proto == IPPROTO_TCP)
        good = v.has(at, 20) && v.u8(at + 12) >> 4 >= 5 && at + (v.u8(at + 12) >> 4) * 4 <= v.end;
    else if (proto == IPPROTO_UDP)
        good = v.has(at, 8) && v.u16(at + 4) >= 8 && (!whole || at + v.u16(at + 4) <= v.end);
    else if (proto == IPPROTO_SCTP)
        good = v.has(at, 12);
    else if (icmp)
        good = v.has(at, 8);
    else {
        p.l4 = PKT_L4_OTHER;
        return;
    }
    if (!good)
        return;
    if (icmp) {
        p.l4 = PKT_L4_ICMP;
        p.icmp_type = v.frame[at];
        p.icmp_code = v.frame[at + 1];
        if (whole && is_error(p))
            quoted(p, v, at + 8);
        return;
    }
    p.l4 = PKT_L4_PORTS;
    p.flow.sport = port_at(v, at);
    p.flow.dport = port_at(v, at + 2);
    if (proto == IPPROTO_TCP)
        p.tcp_flags = v.frame[at + 13];
}

unsigned ipv4(pkt &p, View v, std::size_t at)
{
    if (!v.has(at, 20))
        return DROP_IP_CUT;
    const std::size_t header = (v.u8(at) & 15) * 4;
    if (v.u8(at) >> 4 != 4 || header < 20)
        return DROP_IP_HEADER;
    if (at + header > v.end)
        return DROP_IP_CUT;
    const std::size_t total = v.u16(at + 2);
    if (total < header)
        return DROP_IP_HEADER;
    if (at + total > v.end)
        return DROP_IP_LENGTH;
    v.end = at + total;
    p.l3_end = static_cast<__u16>(v.end);
    p.ttl = v.frame[at + 8];
    p.tos = v.frame[at + 1];
    p.flow.family = 4;
    p.flow.proto = v.frame[at + 9];
    p.flow.saddr = v4_at(v, at + 12);
    p.flow.daddr = v4_at(v, at + 16);
    if (header > 20)
        p.flags |= PKT_F_ROUTER;
    const unsigned frag = v.u16(at + 6);
    if (frag & 0x1fff) {
        p.frag = PKT_FRAG_LATER;
        p.l4 = PKT_L4_FRAGMENT;
        p.l4_off = static_cast<__u16>(at + header);
        return NEXT;
    }
    if (frag & 0x2000)
        p.frag = PKT_FRAG_FIRST;
    upper_layer(p, v, at + header);
    return NEXT;
}

unsigned ipv6(pkt &p, View v, std::size_t at)
{
    if (!v.has(at, 40))
        return DROP_IP_CUT;
    if (v.u8(at) >> 4 != 6)
        return DROP_IP_HEADER;
    if (at + 40 + v.u16(at + 4) > v.end)
        return DROP_IP_LENGTH;
    v.end = at + 40 + v.u16(at + 4);
    p.l3_end = static_cast<__u16>(v.end);
    p.ttl = v.frame[at + 7];
    p.tos = static_cast<__u8>(v.u16(at) >> 4);
    p.flow.family = 6;
    p.flow.saddr = v6_at(v, at + 8);
    p.flow.daddr = v6_at(v, at + 24);
    const Walk w = walk(v, at + 40, v.u8(at + 6));
    p.flow.proto = static_cast<__u8>(w.number);
    p.l4 = static_cast<__u8>(w.l4);
    p.frag = static_cast<__u8>(w.frag);
    p.flags = static_cast<__u8>(w.flags);
    p.l4_off = static_cast<__u16>(w.at);
    if (w.l4 == PKT_L4_OTHER)
        upper_layer(p, v, w.at);
    return NEXT;
}

} // namespace

Parsed model_parse(const Bytes &frame)
{
    Parsed out{SLOW_NOT_IP, {}};
    pkt &p = out.p;
    const View v{frame, frame.size()};
    p.len = static_cast<__u32>(frame.size());
    std::size_t at = 14;
    unsigned type = v.u16(12);
    while (p.vlans < PKT_MAX_VLANS && (type == 0x8100 || type == 0x88a8)) {
        if (!v.has(at, 4)) {
            out.reason = DROP_LINK_CUT;
            return out;
        }
        p.vlan_tci[p.vlans++] = static_cast<__u16>(v.u16(at));
        type = v.u16(at + 2);
        at += 4;
    }
    p.l3_off = static_cast<__u16>(at);
    if (type == 0x0800)
        out.reason = ipv4(p, v, at);
    else if (type == 0x86dd)
        out.reason = ipv6(p, v, at);
    return out;
}

std::string difference(const Parsed &model, const pkt &seen)
{
    std::ostringstream out;
    auto number = [&](const char *name, unsigned want, unsigned got) {
        if (want != got)
            out << name << " is " << got << ", should be " << want << "\n";
    };
    auto flow = [&](const char *name, const flow_key &want, const flow_key &got) {
        if (std::memcmp(&want, &got, sizeof want) != 0)
            out << name << " differs\n";
    };
    const pkt &m = model.p;
    number("len", m.len, seen.len);
    number("vlans", m.vlans, seen.vlans);
    for (unsigned i = 0; i < m.vlans; ++i)
        number("vlan_tci", m.vlan_tci[i], seen.vlan_tci[i]);
    if (model.reason != NEXT)
        return out.str();
    number("l3_off", m.l3_off, seen.l3_off);
    number("l3_end", m.l3_end, seen.l3_end);
    number("l4", m.l4, seen.l4);
    if (m.l4 != PKT_L4_BAD && m.l4 != PKT_L4_UNREAD)
        number("l4_off", m.l4_off, seen.l4_off);
    number("frag", m.frag, seen.frag);
    number("tcp_flags", m.tcp_flags, seen.tcp_flags);
    number("icmp_type", m.icmp_type, seen.icmp_type);
    number("icmp_code", m.icmp_code, seen.icmp_code);
    number("ttl", m.ttl, seen.ttl);
    number("tos", m.tos, seen.tos);
    number("flags", m.flags, seen.flags);
    flow("flow", m.flow, seen.flow);
    if (m.flags & PKT_F_QUOTED) {
        flow("quoted", m.quoted, seen.quoted);
        number("quoted_l3_off", m.quoted_l3_off, seen.quoted_l3_off);
        number("quoted_l4", m.quoted_l4, seen.quoted_l4);
        if (m.quoted_l4 == PKT_L4_PORTS)
            number("quoted_l4_off", m.quoted_l4_off, seen.quoted_l4_off);
    }
    return out.str();
}

} // namespace evnf::test
