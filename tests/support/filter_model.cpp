// SPDX-License-Identifier: GPL-2.0-or-later
#include "support/filter_model.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <vector>

namespace evnf::filter::model
{

namespace
{

bool bit_of(const ip_addr &a, unsigned i)
{
    const auto *bytes = reinterpret_cast<const unsigned char *>(&a);
    return bytes[i / 8] >> (7 - i % 8) & 1;
}

bool in_net(const Model::Net &net, const ip_addr &a)
{
    for (unsigned i = 0; i < net.bits; ++i)
        if (bit_of(a, i) != bit_of(net.addr, i))
            return false;
    return true;
}

// Of few addresses, so that filters and packets meet; one is another with one bit turned.
ip_addr any_address(Random &random, int family)
{
    ip_addr a = in6(family == 4 ? "::ffff:192.0.2.1" : "2001:db8::1");
    auto *bytes = reinterpret_cast<unsigned char *>(&a);
    if (below(random, 2)) {
        const unsigned i = family == 4 ? 96 + below(random, 32) : below(random, 128);
        bytes[i / 8] = static_cast<unsigned char>(bytes[i / 8] ^ (0x80U >> i % 8));
    }
    return a;
}

std::uint16_t any_port(Random &random)
{
    static constexpr std::uint16_t ports[]{53, 80, 80 << 8, 53 << 8, 65535, 1};
    return ports[below(random, std::size(ports))];
}

std::uint8_t any_protocol(Random &random)
{
    static constexpr std::uint8_t protocols[]{IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP, 47, 255};
    return protocols[below(random, std::size(protocols))];
}

bool has_ports(std::uint8_t protocol)
{
    return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP;
}

} // namespace

unsigned below(Random &random, unsigned n)
{
    return static_cast<unsigned>(random() % n);
}

ip_addr in6(const std::string &text)
{
    ip_addr a{};
    REQUIRE(inet_pton(AF_INET6, text.c_str(), &a) == 1);
    return a;
}

bool matches(const Model &m, const flow_key &k)
{
    if (m.family && m.family != k.family)
        return false;
    if (m.proto && *m.proto != k.proto)
        return false;
    if (const auto &n = m.net[TRACE_EITHER]; n && !in_net(*n, k.saddr) && !in_net(*n, k.daddr))
        return false;
    if (const auto &n = m.net[TRACE_SRC]; n && !in_net(*n, k.saddr))
        return false;
    if (const auto &n = m.net[TRACE_DST]; n && !in_net(*n, k.daddr))
        return false;
    const std::uint16_t sport = ntohs(k.sport), dport = ntohs(k.dport);
    if (const auto &p = m.port[TRACE_EITHER]; p && *p != sport && *p != dport)
        return false;
    if (const auto &p = m.port[TRACE_SRC]; p && *p != sport)
        return false;
    if (const auto &p = m.port[TRACE_DST]; p && *p != dport)
        return false;
    return true;
}

flow_key any_key(Random &random)
{
    flow_key k{};
    k.family = below(random, 2) ? 4 : 6;
    // An IPv4-mapped address may stand in an IPv6 packet too.
    const int address_family = below(random, 8) ? k.family : 4;
    k.saddr = any_address(random, address_family);
    k.daddr = any_address(random, address_family);
    k.proto = any_protocol(random);
    if (has_ports(k.proto) && below(random, 8)) { // else a later fragment
        k.sport = htons(any_port(random));
        k.dport = htons(any_port(random));
    }
    return k;
}

Model any_model(Random &random)
{
    Model m;
    const int family = below(random, 2) ? 4 : 6;
    if (below(random, 6) == 0)
        m.family = family;
    if (below(random, 3) == 0)
        m.proto = any_protocol(random);
    for (int end = 0; end < TRACE_ENDS; ++end) {
        if (below(random, 4) == 0) {
            const unsigned first = family == 4 ? 96 : 0;
            const unsigned bits =
                below(random, 3) ? first + below(random, 129 - first) : 128; // 128: a host
            ip_addr a = any_address(random, family);
            auto *bytes = reinterpret_cast<unsigned char *>(&a);
            for (unsigned i = bits; i < 128; ++i)
                bytes[i / 8] = static_cast<unsigned char>(bytes[i / 8] & ~(0x80U >> i % 8));
            m.net[end] = Model::Net{a, bits};
            m.family = family;
        }
        if (below(random, 4) == 0 && has_ports(m.proto.value_or(IPPROTO_TCP)))
            m.port[end] = any_port(random);
    }
    return m;
}

std::string text_of(Random &random, const Model &m)
{
    static const std::string ends[]{"", "src ", "dst "};
    std::vector<std::string> parts;
    const bool told = m.net[TRACE_EITHER] || m.net[TRACE_SRC] || m.net[TRACE_DST];
    if (m.family && (!told || below(random, 2)))
        parts.emplace_back(m.family == 4 ? "ip" : "ip6");
    if (m.proto)
        parts.push_back(*m.proto == IPPROTO_TCP && below(random, 2)
                            ? "tcp"
                            : "proto " + std::to_string(*m.proto));
    for (int end = 0; end < TRACE_ENDS; ++end) {
        if (const auto &n = m.net[end]) {
            char text[INET6_ADDRSTRLEN];
            if (m.family == 4)
                inet_ntop(AF_INET, &n->addr.w[3], text, sizeof text);
            else
                inet_ntop(AF_INET6, &n->addr, text, sizeof text);
            const unsigned length = n->bits - (m.family == 4 ? 96 : 0);
            const std::string bare = end != TRACE_EITHER && below(random, 2) ? "" : "host ";
            parts.push_back(ends[end] +
                            (n->bits == 128 && below(random, 2)
                                 ? bare + text
                                 : "net " + std::string(text) + "/" + std::to_string(length)));
        }
        if (m.port[end])
            parts.push_back(ends[end] + "port " + std::to_string(*m.port[end]));
    }
    std::shuffle(parts.begin(), parts.end(), random);
    std::string out;
    for (const auto &part : parts)
        out += (out.empty() ? "" : below(random, 2) ? " and " : " ") + part;
    return out;
}

} // namespace evnf::filter::model
