// SPDX-License-Identifier: GPL-2.0-or-later
// How a service's packets get to its backends:
//   "forward": "source_nat", "sources": ["10.0.0.5"], "source_ports": "1024-32767"
//   "forward": "tunnel", "sources": ["10.0.0.5"]
//   "forward": "direct"
#pragma once

#include <cstdint>
#include <vector>

#include "base/net.hpp"
#include "vnfs/elb/abi.h"
#include "vnfs/vnf.hpp"

namespace evnf::elb
{

struct Forwarding {
    elb_forward how = ELB_NAT;
    std::vector<Address> sources; // at most ELB_MAX_SOURCES
    // Below those that Linux gives its own connections (32768 to 60999), which may be with
    // the same backends, by the same address.
    std::uint16_t first_port = 1024, last_port = 32767;

    [[nodiscard]] elb_sources raw() const;
    // Whether the backends' answers pass elb by.
    [[nodiscard]] bool one_way() const { return ELB_ONE_WAY(how); }
    friend bool operator==(const Forwarding &, const Forwarding &) = default;
};

// The keys of a service's table that are about it.
inline const std::vector<std::string> forwarding_keys{"forward", "sources", "source_ports"};

// Of a service's table, at `where`; `service` is its address.
Result<Forwarding> read_forwarding(const json &table, const Address &service,
                                   const std::string &where);

} // namespace evnf::elb
