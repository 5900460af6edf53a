// SPDX-License-Identifier: GPL-2.0-or-later
// Where a frontend listens: its lines "bind".
#pragma once

#include <vector>

#include "vnfs/elb/haproxy/findings.hpp"
#include "vnfs/elb/haproxy/proxies.hpp"
#include "vnfs/elb/haproxy/words.hpp"

namespace evnf::elb::haproxy
{

// The addresses and ports of one line; none if it is refused. A bind to all addresses is one
// to `all` of its IP version.
std::vector<Endpoint> read_bind(const Proxy &frontend, const Line &line,
                                const std::vector<Address> &all, Findings &findings);

} // namespace evnf::elb::haproxy
