// SPDX-License-Identifier: GPL-2.0-or-later
// How connections get their servers, and how long they may be silent: HAProxy's balance, stick and
// timeout, as keys of a service.
#pragma once

#include <nlohmann/json.hpp>

#include "vnfs/elb/haproxy/findings.hpp"
#include "vnfs/elb/haproxy/proxies.hpp"

namespace evnf::elb::haproxy
{

using nlohmann::json;

struct Choosing {
    json keys = json::object();      // of a service of either family
    std::optional<unsigned> prefix4; // "affinity_prefix"
    std::optional<unsigned> prefix6;
};

// Of connections that a frontend gives to the servers of `pool`.
Choosing read_choosing(const Proxy &front, const Proxy &pool, Findings &findings);

} // namespace evnf::elb::haproxy
