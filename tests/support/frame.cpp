// SPDX-License-Identifier: GPL-2.0-or-later
#include "support/frame.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstdio>
#include <stdexcept>

namespace evnf::test
{

namespace
{

void put16(Bytes &b, std::size_t v)
{
    b.push_back(static_cast<std::uint8_t>(v >> 8));
    b.push_back(static_cast<std::uint8_t>(v));
}

void set16(Bytes &b, std::size_t at, std::size_t v)
{
    b[at] = static_cast<std::uint8_t>(v >> 8);
    b[at + 1] = static_cast<std::uint8_t>(v);
}

bool is_v6(const Frame &f)
{
    return f.src.find(':') != std::string::npos;
}

void put_address(Bytes &b, const std::string &text, bool v6)
{
    std::array<std::uint8_t, 16> raw{};
    if (inet_pton(v6 ? AF_INET6 : AF_INET, text.c_str(), raw.data()) != 1)
        throw std::invalid_argument(text);
    b.insert(b.end(), raw.begin(), raw.begin() + (v6 ? 16 : 4));
}

Bytes segment(const Frame &f)
{
    Bytes b;
    switch (f.proto) {
    case IPPROTO_TCP:
        put16(b, f.sport);
        put16(b, f.dport);
        for (const std::uint32_t number : {f.tcp_seq, f.tcp_ack}) {
            put16(b, number >> 16);
            put16(b, number & 0xffff);
        }
        b.push_back(static_cast<std::uint8_t>((5 + f.tcp_options / 4) << 4));
        b.push_back(f.tcp_flags);
        b.insert(b.end(), {0xff, 0xff, 0, 0, 0, 0});
        b.insert(b.end(), f.tcp_options, 1); // no-operation
        break;
    case IPPROTO_UDP:
        put16(b, f.sport);
        put16(b, f.dport);
        put16(b, 8 + f.payload.size());
        put16(b, 0);
        break;
    case IPPROTO_SCTP:
        put16(b, f.sport);
        put16(b, f.dport);
        b.insert(b.end(), 8, 0x11);
        break;
    case IPPROTO_ICMP:
    case IPPROTO_ICMPV6:
        b.insert(b.end(), {f.icmp_type, f.icmp_code, 0, 0, 0, 0, 0, 0});
        break;
    default:
        break;
    }
    b.insert(b.end(), f.payload.begin(), f.payload.end());
    return b;
}

std::size_t checksum_offset(std::uint8_t proto)
{
    return proto == IPPROTO_TCP ? 16 : proto == IPPROTO_UDP ? 6 : 2;
}

void put_checksum(Bytes &b, const Frame &f, const Layout &at)
{
    const bool pseudo = f.proto != IPPROTO_ICMP;
    if (f.proto != IPPROTO_TCP && f.proto != IPPROTO_UDP && f.proto != IPPROTO_ICMP &&
        f.proto != IPPROTO_ICMPV6)
        return;
    const std::size_t field = at.l4 + checksum_offset(f.proto);
    if (f.csum == Csum::zero)
        return;
    if (f.csum == Csum::partial) {
        set16(b, field, pseudo_sum(b, at.l3, at.end - at.l4, f.proto));
        return;
    }
    std::uint16_t sum =
        pseudo ? segment_sum(b, at.l3, at.l4, at.end, f.proto)
               : static_cast<std::uint16_t>(~plain_checksum(plain_sum(&b[at.l4], at.end - at.l4)));
    sum = static_cast<std::uint16_t>(~sum);
    set16(b, field, sum == 0 && f.proto == IPPROTO_UDP ? 0xffff : sum);
}

} // namespace

Layout layout(const Frame &f)
{
    Layout at{};
    at.l3 = 14 + 4 * f.vlans.size();
    at.l4 = at.l3 + (is_v6(f) ? 40 : 20 + f.ip_options);
    for (const auto &e : f.ext)
        at.l4 += e.size;
    at.end = at.l4 + segment(f).size();
    return at;
}

Bytes build(const Frame &f)
{
    const bool v6 = is_v6(f);
    const Layout at = layout(f);
    Bytes b(f.dmac.begin(), f.dmac.end());
    b.insert(b.end(), f.smac.begin(), f.smac.end());
    for (std::size_t i = 0; i < f.vlans.size(); ++i) {
        put16(b, i + 1 < f.vlans.size() ? 0x88a8 : 0x8100);
        put16(b, f.vlans[i]);
    }
    put16(b, f.ethertype ? f.ethertype : v6 ? 0x86dd : 0x0800);
    if (v6) {
        b.insert(b.end(), {static_cast<std::uint8_t>(0x60 | f.tos >> 4),
                           static_cast<std::uint8_t>(f.tos << 4), 0, 0});
        put16(b, at.end - at.l3 - 40);
        b.push_back(f.ext.empty() ? f.proto : f.ext[0].number);
        b.push_back(f.ttl);
    } else {
        b.insert(b.end(), {static_cast<std::uint8_t>(0x40 | (5 + f.ip_options / 4)), f.tos});
        put16(b, at.end - at.l3);
        put16(b, 0x1234);
        put16(b, f.frag);
        b.insert(b.end(), {f.ttl, f.proto, 0, 0});
    }
    put_address(b, f.src, v6);
    put_address(b, f.dst, v6);
    if (!v6) {
        b.insert(b.end(), f.ip_options, 1); // no-operation
        set16(b, at.l3 + 10, plain_checksum(plain_sum(&b[at.l3], 20 + f.ip_options)));
    }
    for (std::size_t i = 0; i < f.ext.size(); ++i) {
        const auto &e = f.ext[i];
        const std::size_t start = b.size();
        b.resize(start + e.size);
        b[start] = i + 1 < f.ext.size() ? f.ext[i + 1].number : f.proto;
        b[start + 1] = static_cast<std::uint8_t>(e.number == IPPROTO_AH         ? e.size / 4 - 2
                                                 : e.number == IPPROTO_FRAGMENT ? 0
                                                                                : e.size / 8 - 1);
        if (e.number == IPPROTO_FRAGMENT)
            set16(b, start + 2, e.frag);
    }
    const Bytes l4 = segment(f);
    b.insert(b.end(), l4.begin(), l4.end());
    put_checksum(b, f, at);
    b.insert(b.end(), f.padding, 0xee);
    return b;
}

std::uint32_t plain_sum(const std::uint8_t *bytes, std::size_t size, std::uint32_t start)
{
    std::uint32_t sum = start;
    for (std::size_t i = 0; i < size; ++i) {
        sum += i % 2 == 0 ? static_cast<std::uint32_t>(bytes[i]) << 8 : bytes[i];
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}

std::uint16_t plain_checksum(std::uint32_t sum)
{
    return static_cast<std::uint16_t>(~sum);
}

std::uint16_t pseudo_sum(const Bytes &b, std::size_t l3, std::size_t length, std::uint8_t proto)
{
    const bool v6 = b[l3] >> 4 == 6;
    std::uint32_t sum = v6 ? plain_sum(&b[l3 + 8], 32) : plain_sum(&b[l3 + 12], 8);
    const std::array<std::uint8_t, 4> rest{static_cast<std::uint8_t>(length >> 8),
                                           static_cast<std::uint8_t>(length), 0, proto};
    return static_cast<std::uint16_t>(plain_sum(rest.data(), rest.size(), sum));
}

std::uint16_t segment_sum(const Bytes &b, std::size_t l3, std::size_t l4, std::size_t end,
                          std::uint8_t proto)
{
    return static_cast<std::uint16_t>(
        plain_sum(&b[l4], end - l4, pseudo_sum(b, l3, end - l4, proto)));
}

std::uint16_t header_sum(const Bytes &b, std::size_t l3)
{
    return static_cast<std::uint16_t>(plain_sum(&b[l3], (b[l3] & 0xfU) * 4));
}

std::string hex(const Bytes &frame)
{
    std::string out;
    for (std::size_t i = 0; i < frame.size(); ++i) {
        char two[4];
        std::snprintf(two, sizeof two, "%02x%s", frame[i], i % 16 == 15 ? "\n" : " ");
        out += two;
    }
    return out;
}

Frame random_frame(Random &r)
{
    Frame f;
    const bool v6 = roll(r, 2);
    auto address = [&](bool source) {
        if (!v6)
            return (source ? "192.0.2." : "198.51.100.") + std::to_string(roll(r, 256));
        return (source ? "2001:db8:1::" : "2001:db8:2::") + std::to_string(roll(r, 10000));
    };
    f.src = address(true);
    f.dst = address(false);
    for (unsigned n = roll(r, 8); n > 4; --n) // none, mostly; up to three
        f.vlans.push_back(static_cast<std::uint16_t>(r()));
    constexpr std::array<std::uint8_t, 8> protocols{6, 6, 17, 17, 132, 1, 58, 50};
    f.proto = protocols[roll(r, protocols.size())];
    f.sport = static_cast<std::uint16_t>(r());
    f.dport = static_cast<std::uint16_t>(r());
    f.tcp_flags = static_cast<std::uint8_t>(r());
    f.tcp_options = roll(r, 3) * 4;
    f.icmp_type = static_cast<std::uint8_t>(roll(r, 13));
    f.ttl = static_cast<std::uint8_t>(r());
    f.tos = static_cast<std::uint8_t>(r());
    if (!v6 && roll(r, 4) == 0)
        f.ip_options = roll(r, 11) * 4;
    if (!v6 && roll(r, 4) == 0)
        f.frag = static_cast<std::uint16_t>(roll(r, 2) ? 0x2000 : roll(r, 0x4000));
    if (v6)
        for (unsigned n = roll(r, 4) ? 0 : roll(r, 11); n > 0; --n) {
            constexpr std::array<std::uint8_t, 5> numbers{0, 43, 44, 60, 51};
            const std::uint8_t number = numbers[roll(r, numbers.size())];
            const std::size_t size = number == 44 ? 8 : 8 * (1 + roll(r, 3));
            f.ext.push_back({number, size, static_cast<std::uint16_t>(roll(r, 3) ? r() & 1 : r())});
        }
    f.payload.resize(roll(r, 80));
    for (auto &byte : f.payload)
        byte = static_cast<std::uint8_t>(r());
    if (roll(r, 2) && (f.proto == IPPROTO_ICMP || f.proto == IPPROTO_ICMPV6)) {
        Frame quoted = f;
        quoted.vlans.clear();
        quoted.proto = protocols[roll(r, 5)];
        quoted.padding = 0;
        quoted.payload.resize(roll(r, 20));
        const Bytes inner = build(quoted);
        f.payload.assign(inner.begin() + 14, inner.end());
        if (roll(r, 2))
            f.payload.resize(roll(r, static_cast<unsigned>(f.payload.size()) + 1));
    }
    f.padding = roll(r, 2) ? roll(r, 20) : 0;
    return f;
}

Bytes mutate(Bytes frame, Random &r)
{
    for (unsigned n = roll(r, 4); n > 0; --n)
        frame[roll(r, static_cast<unsigned>(frame.size()))] = static_cast<std::uint8_t>(r());
    if (roll(r, 3) == 0 && frame.size() > 18) { // near the lengths and header fields
        const unsigned at =
            12 + roll(r, std::min<unsigned>(30, static_cast<unsigned>(frame.size()) - 12));
        frame[at] = static_cast<std::uint8_t>(roll(r, 2) ? roll(r, 64) : r());
    }
    if (roll(r, 3) == 0)
        frame.resize(14 + roll(r, static_cast<unsigned>(frame.size()) - 13));
    return frame;
}

} // namespace evnf::test
