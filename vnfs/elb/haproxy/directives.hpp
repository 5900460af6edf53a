// SPDX-License-Identifier: GPL-2.0-or-later
// Which of a proxy's directives elb can do without, and which only HAProxy can do.
#pragma once

#include "vnfs/elb/haproxy/findings.hpp"
#include "vnfs/elb/haproxy/proxies.hpp"

namespace evnf::elb::haproxy
{

// Looks at all but what is read elsewhere: binds, servers and checks.
void check_directives(const Proxy &proxy, Findings &findings);

} // namespace evnf::elb::haproxy
