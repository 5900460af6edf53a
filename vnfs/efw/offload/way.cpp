// SPDX-License-Identifier: GPL-2.0-or-later
#include <net/if.h>

#include <array>
#include <cstring>

#include "base/rtnl.hpp"
#include "vnfs/efw/offload/judge.hpp"

namespace evnf::efw::offload
{

namespace
{

// What ip_route_input_slow() and fib_props of the kernel mean by its errors; empty: others.
std::string reason(int error)
{
    switch (error) {
    case EXDEV:
    case EINVAL: // kernels differ in which of the two it is
        return "its source may not come this way (rp_filter, or it is no other host's address), "
               "or its route is a blackhole";
    case ENETUNREACH:
    case EHOSTUNREACH:
    case EACCES:
        return std::strerror(error);
    default:
        return {};
    }
}

} // namespace

Way way_of(const Packet &p)
{
    auto rtnl = Rtnl::open();
    const unsigned in = ::if_nametoindex(p.in.c_str());
    if (!rtnl || !in)
        return {};
    const auto route = rtnl->route_of({.src = p.src,
                                       .dst = p.dst,
                                       .ifindex = in,
                                       .protocol = p.protocol,
                                       .tos = static_cast<std::uint8_t>(p.dscp << 2),
                                       .sport = p.sport,
                                       .dport = p.dport});
    if (!route)
        return {.none = reason(route.error().code)};
    std::array<char, IF_NAMESIZE> name{};
    if (route->kind != RouteAnswer::Kind::unicast || route->multipath ||
        !::if_indextoname(route->ifindex, name.data()))
        return {};
    return {.out = name.data()};
}

} // namespace evnf::efw::offload
