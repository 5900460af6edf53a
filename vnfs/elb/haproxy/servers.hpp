// SPDX-License-Identifier: GPL-2.0-or-later
// The servers of a backend: lines "server" with what "default-server" says before them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "vnfs/elb/haproxy/findings.hpp"
#include "vnfs/elb/haproxy/proxies.hpp"
#include "vnfs/elb/haproxy/words.hpp"

namespace evnf::elb::haproxy
{

struct Server {
    Line line;
    Target target;
    unsigned weight = 1;
    bool backup = false;
    bool disabled = false;
    bool resets = false; // on-marked-down shutdown-sessions

    bool check = false;
    bool check_ssl = false;
    bool verify = true; // its certificate, with check_ssl
    std::string ca_file;
    std::optional<unsigned> check_port;
    double inter = 2;
    unsigned rise = 2, fall = 3;
    double slow_start = 0;

    bool agent_check = false;
    std::optional<unsigned> agent_port;
    double agent_inter = 2;
};

// `unlimited`: maxconn, minconn and maxqueue are left out rather than refused.
std::vector<Server> read_servers(const Proxy &proxy, bool unlimited, Findings &findings);

} // namespace evnf::elb::haproxy
