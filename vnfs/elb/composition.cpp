// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/elb/composition.hpp"

#include "vnfs/elb/section.hpp"

namespace evnf::elb
{

// Behind elb there are no packets to a service any more: they have a backend's address.
std::vector<Destination> services_rewritten(const json &section)
{
    std::vector<Destination> out;
    for (const auto &s : services_of(section))
        for (const auto &range : s.ports.ranges())
            out.push_back({Prefix{s.address, s.address.is_v4() ? 32U : 128U}, s.protocol,
                           range.first, range.last, "service " + s.name(), ""});
    return out;
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
