// SPDX-License-Identifier: GPL-2.0-or-later
// What services are in the fast path's maps.
#pragma once

#include <cstring>
#include <map>
#include <set>
#include <vector>

#include "vnfs/elb/abi.h"
#include "vnfs/elb/section.hpp"

namespace evnf::elb
{

struct KeyOrder {
    bool operator()(const elb_service_key &a, const elb_service_key &b) const
    {
        return std::memcmp(&a, &b, sizeof a) < 0;
    }
};
using Hosts = std::set<elb_service_key, KeyOrder>;
using Owners = std::map<elb_service_key, elb_owner, KeyOrder>;

// Of one of its ports, and of some of them.
elb_service_key key_of(const Service &s, std::uint16_t port);
elb_range_key range_key(const Service &s, const PortPrefix &prefix);

// The hosts that elb must know of; whose the answers of which backends are.
Hosts hosts_of(const std::vector<Service> &services);
Owners owners_of(const std::vector<Service> &services);

// Whether packets must be looked at by more than one port; see elb_many_ports.
bool has_many_ports(const std::vector<Service> &services);

} // namespace evnf::elb
