// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/elb/on_link.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "base/rtnl.hpp"

namespace evnf::elb
{

namespace
{

Result<> check_backend(Rtnl &rtnl, const Service &s, const Backend &b, const std::string &where)
{
    const Address &address = b.endpoint.address;
    const std::string who = "backend " + address.text() + " of service " + s.name();
    const auto route = rtnl.route_to(address);
    if (!route) {
        log_warning(who + " has no route now, so it gets nothing: " + route.error().message());
        return Unit{};
    }
    if (route->kind == RouteAnswer::Kind::unicast && !route->gateway)
        return Unit{};
    const std::string but = !route->gateway ? "not on a network of this host"
                                            : "behind the router " + route->gateway->text();
    return bad_input(who + " is " + but +
                         ", and forward = \"direct\" needs its MAC: write forward = \"tunnel\", or "
                         "give an address of it on a network that this host is on",
                     where);
}

} // namespace

Result<> check_on_link(const std::vector<Service> &wanted, const std::vector<Service> &in_force)
{
    std::optional<Rtnl> rtnl;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        const Service &s = wanted[i];
        if (s.forwarding.how != ELB_DIRECT)
            continue;
        const auto before =
            std::find_if(in_force.begin(), in_force.end(), [&](const Service &other) {
                return other.name() == s.name() && other.forwarding.how == ELB_DIRECT;
            });
        for (std::size_t j = 0; j < s.backends.size(); ++j) {
            const auto same = [&](const Backend &b) {
                return b.endpoint.address == s.backends[j].endpoint.address;
            };
            if (before != in_force.end() &&
                std::any_of(before->backends.begin(), before->backends.end(), same))
                continue;
            if (!rtnl) {
                auto opened = Rtnl::open();
                if (!opened)
                    return opened.error();
                rtnl = *std::move(opened);
            }
            if (auto r = check_backend(*rtnl, s, s.backends[j],
                                       "/service/" + std::to_string(i) + "/backends/" +
                                           std::to_string(j) + "/address");
                !r)
                return r;
        }
    }
    return Unit{};
}

} // namespace evnf::elb
