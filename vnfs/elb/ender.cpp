// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/elb/ender.hpp"

#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <vector>

#include "base/log.hpp"

namespace evnf::elb
{

namespace
{

constexpr unsigned pages_of_tick = 4;

std::uint32_t sum(const void *data, std::size_t size)
{
    const auto *bytes = static_cast<const std::uint8_t *>(data);
    std::uint32_t out = 0;
    for (std::size_t i = 0; i < size; ++i)
        out += static_cast<std::uint32_t>(bytes[i]) << (i % 2 ? 0 : 8);
    return out;
}

// To the sender of this flow, as its receiver's; of TCP's numbers only the checksum is right.
tcphdr syn(const flow_key &flow)
{
    tcphdr tcp{};
    tcp.source = flow.dport;
    tcp.dest = flow.sport;
    tcp.doff = sizeof tcp / 4;
    tcp.syn = 1;
    std::uint32_t total = sum(&tcp, sizeof tcp) + sum(&flow.saddr, sizeof flow.saddr) +
                          sum(&flow.daddr, sizeof flow.daddr) + IPPROTO_TCP + sizeof tcp;
    if (flow.family == 4) // the beginnings of their addresses are no part of it
        total -= sum(&flow.saddr, 12) + sum(&flow.daddr, 12);
    while (total >> 16)
        total = (total & 0xffff) + (total >> 16);
    tcp.check = htons(static_cast<std::uint16_t>(~total));
    return tcp;
}

// IPPROTO_RAW: the IP header is ours, with the service's address as source.
Fd raw_socket(int family)
{
    Fd fd(::socket(family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW));
    if (!fd)
        log_error("tell clients of connections that are ended", sys_error("open a raw socket"),
                  {{"vnf", "elb"}});
    return fd;
}

template <class Header>
std::vector<std::uint8_t> packet(const Header &ip, const tcphdr &tcp)
{
    std::vector<std::uint8_t> out(sizeof ip + sizeof tcp);
    std::memcpy(out.data(), &ip, sizeof ip);
    std::memcpy(out.data() + sizeof ip, &tcp, sizeof tcp);
    return out;
}

} // namespace

Result<> Ender::tick(Connections &connections, const std::set<unsigned> &over)
{
    std::erase_if(done_, [&](unsigned b) { return !over.contains(b); });
    std::erase_if(under_way_, [&](unsigned b) { return !over.contains(b); });
    if (at_ == 0)
        std::set_difference(over.begin(), over.end(), done_.begin(), done_.end(),
                            std::inserter(under_way_, under_way_.end()));
    if (under_way_.empty()) {
        at_ = 0;
        return Unit{};
    }
    return walk(connections);
}

Result<> Ender::walk(Connections &connections)
{
    for (unsigned i = 0; i < pages_of_tick; ++i) {
        const auto page = connections.page(at_);
        if (!page)
            return page.error();
        for (const auto &c : page->connections) {
            if (!under_way_.contains(c.there.backend))
                continue;
            connections.forget(c);
            tell(c.flow);
            tell(key_back(c.flow, c.there));
            ++ended_;
        }
        at_ = page->next.value_or(0);
        if (!page->next) {
            done_.merge(under_way_);
            under_way_.clear();
            return Unit{};
        }
    }
    return Unit{};
}

void Ender::tell(const flow_key &flow)
{
    if (flow.proto != IPPROTO_TCP)
        return;
    const bool v4 = flow.family == 4;
    auto &fd = v4 ? ipv4_ : ipv6_;
    if (!fd)
        fd = raw_socket(v4 ? AF_INET : AF_INET6);
    const tcphdr tcp = syn(flow);
    if (v4) {
        iphdr ip{};
        ip.version = 4;
        ip.ihl = sizeof ip / 4;
        ip.ttl = 64;
        ip.protocol = IPPROTO_TCP;
        ip.saddr = flow.daddr.w[3];
        ip.daddr = flow.saddr.w[3];
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_addr.s_addr = ip.daddr;
        const auto bytes = packet(ip, tcp); // the kernel fills in the rest
        ::sendto(fd->get(), bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr *>(&to),
                 sizeof to);
        return;
    }
    ip6_hdr ip{};
    ip.ip6_flow = htonl(6U << 28);
    ip.ip6_plen = htons(sizeof tcp);
    ip.ip6_nxt = IPPROTO_TCP;
    ip.ip6_hlim = 64;
    std::memcpy(&ip.ip6_src, &flow.daddr, sizeof ip.ip6_src);
    std::memcpy(&ip.ip6_dst, &flow.saddr, sizeof ip.ip6_dst);
    sockaddr_in6 to{};
    to.sin6_family = AF_INET6;
    to.sin6_addr = ip.ip6_dst;
    const auto bytes = packet(ip, tcp);
    ::sendto(fd->get(), bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr *>(&to),
             sizeof to);
}

} // namespace evnf::elb
