// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/rejecter.hpp"

#include <netinet/in.h>
#include <sys/socket.h>

#include <chrono>
#include <cstring>

#include "vnfs/efw/answer.hpp"

namespace evnf::efw
{

namespace
{

// IPPROTO_RAW: the IP header is ours, whatever its source; no packet is ever received.
Result<Fd> raw_socket(int family)
{
    Fd fd(::socket(family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW));
    if (!fd && errno == EPERM)
        return bad_input("to answer what a rule rejects evnfd needs CAP_NET_RAW: grant it, or "
                         "write drop for reject");
    if (!fd)
        return sys_error("open a raw socket");
    return fd;
}

std::uint64_t now()
{
    return static_cast<std::uint64_t>(
        std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count());
}

} // namespace

Result<std::unique_ptr<Rejecter>> Rejecter::open()
{
    auto ipv4 = raw_socket(AF_INET);
    if (!ipv4)
        return ipv4.error();
    auto ipv6 = raw_socket(AF_INET6);
    if (!ipv6)
        return ipv6.error();
    auto rtnl = Rtnl::open();
    if (!rtnl)
        return rtnl.error();
    return std::unique_ptr<Rejecter>(
        new Rejecter(*std::move(ipv4), *std::move(ipv6), *std::move(rtnl)));
}

void Rejecter::refuse(std::span<const std::uint8_t> frame, const pkt &p)
{
    const auto answer = answer_to(frame, p);
    if (!answer)
        ++silent_;
    else if (!has_token(p))
        ++limited_;
    else if (is_broadcast(p))
        ++silent_;
    else
        send(*answer, p);
}

// Not the token of all for one who has had enough.
bool Rejecter::has_token(const pkt &p)
{
    const std::uint64_t t = now();
    const std::lock_guard lock(mutex_);
    return for_each_.take(Address(p.flow.saddr), t, each) && for_all_.take(t, all);
}

// Whether it was sent to all hosts of a network that is this host's too: only the kernel
// knows. That the sender's address is such a one, the kernel sees when it is answered.
bool Rejecter::is_broadcast(const pkt &p)
{
    if (p.flow.family != 4)
        return false;
    const std::lock_guard lock(mutex_);
    const auto route = rtnl_.route_to(Address(p.flow.daddr));
    return route && route->kind == RouteAnswer::Kind::broadcast;
}

void Rejecter::send(std::span<const std::uint8_t> answer, const pkt &p)
{
    sockaddr_in to4{};
    to4.sin_family = AF_INET;
    to4.sin_addr.s_addr = p.flow.saddr.w[3];
    sockaddr_in6 to6{};
    to6.sin6_family = AF_INET6;
    std::memcpy(&to6.sin6_addr, p.flow.saddr.w, sizeof to6.sin6_addr);
    if (IN6_IS_ADDR_LINKLOCAL(&to6.sin6_addr))
        to6.sin6_scope_id = p.ifindex;
    const bool v4 = p.flow.family == 4;
    const auto *to =
        v4 ? reinterpret_cast<const sockaddr *>(&to4) : reinterpret_cast<const sockaddr *>(&to6);
    const socklen_t size = v4 ? sizeof to4 : sizeof to6;
    if (::sendto((v4 ? ipv4_ : ipv6_).get(), answer.data(), answer.size(), 0, to, size) >= 0)
        ++sent_;
    else if (errno == EACCES)
        ++silent_; // a broadcast address
    else
        ++failed_;
}

} // namespace evnf::efw
