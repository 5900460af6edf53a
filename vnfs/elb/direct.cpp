// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/elb/direct.hpp"

#include "vnfs/elb/section.hpp"

namespace evnf::elb
{

namespace
{

// What keeps packets from one; empty text: nothing.
Misfit misfit_of(const Address &address, const Surroundings &here)
{
    const auto route = here.route_to(address);
    if (!route)
        return {"has no route now, so it gets nothing: " + route.error().message(), {}, true};
    const bool is_far = route->kind != RouteAnswer::Kind::unicast || route->gateway;
    if (is_far)
        return {std::string("is ") +
                    (route->gateway ? "behind the router " + route->gateway->text()
                                    : "not on a network of this host") +
                    ", and forward = \"direct\" needs its MAC: write forward = \"tunnel\", or give "
                    "an address of it on a network that this host is on",
                {}};
    const auto link = here.links.find(route->ifindex);
    if (!here.ports || link == here.links.end() || here.ports->contains(link->second))
        return {};
    return {"is at " + link->second +
                ", which no chain has, and forward = \"direct\" sends only by those that one has: "
                "add a chain for it, such as path = \"in(" +
                link->second + ") -> out\"",
            {}};
}

} // namespace

std::vector<Misfit> direct_misfits(const json &section, const Surroundings &here)
{
    std::vector<Misfit> out;
    const auto services = services_of(section);
    for (std::size_t i = 0; i < services.size(); ++i) {
        const Service &s = services[i];
        for (std::size_t j = 0; s.forwarding.how == ELB_DIRECT && j < s.backends.size(); ++j) {
            const Address &address = s.backends[j].endpoint.address;
            Misfit one = misfit_of(address, here);
            if (one.text.empty())
                continue;
            one.text.insert(0, "backend " + address.text() + " of service " + s.name() + " ");
            one.where =
                "/service/" + std::to_string(i) + "/backends/" + std::to_string(j) + "/address";
            out.push_back(std::move(one));
        }
    }
    return out;
}

} // namespace evnf::elb
