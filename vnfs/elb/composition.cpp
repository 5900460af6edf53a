// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/elb/composition.hpp"

#include <algorithm>

#include "vnfs/elb/section.hpp"

namespace evnf::elb
{

// Behind elb there are no packets to a service any more: they have a backend's address, unless
// only their MAC is the backend's.
std::vector<Destination> services_rewritten(const json &section)
{
    std::vector<Destination> out;
    for (const auto &s : services_of(section))
        for (const auto &range :
             s.forwarding.how == ELB_DIRECT ? std::vector<PortRange>() : s.ports.ranges())
            out.push_back({Prefix{s.address, s.address.is_v4() ? 32U : 128U}, s.protocol,
                           range.first, range.last, "service " + s.name(), ""});
    return out;
}

bool all_one_way(const json &section)
{
    const auto services = services_of(section);
    return !services.empty() && std::all_of(services.begin(), services.end(), [](const Service &s) {
        return s.forwarding.one_way();
    });
}

std::string direct_service(const json &section)
{
    for (const auto &s : services_of(section))
        if (s.forwarding.how == ELB_DIRECT)
            return "service " + s.name() + " with forward = \"direct\"";
    return "";
}

// Its detail is a backend's id and one.
std::string backend_of(const json &section, unsigned detail)
{
    for (const auto &s : services_of(section))
        for (const auto &b : s.backends)
            if (b.id + 1U == detail)
                return "service " + s.name() + ", backend " + b.endpoint.text();
    return "a backend that is gone";
}

} // namespace evnf::elb
