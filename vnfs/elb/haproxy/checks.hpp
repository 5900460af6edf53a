// SPDX-License-Identifier: GPL-2.0-or-later
// How a backend's servers are checked, as elb's health tables.
#pragma once

#include <nlohmann/json.hpp>

#include "vnfs/elb/haproxy/servers.hpp"

namespace evnf::elb::haproxy
{

using json = nlohmann::json;

// What the check asks for: of all servers of a backend alike. What cannot be taken is refused.
struct Question {
    std::string type = "tcp"; // or "http"
    json more = json::object();
    std::optional<double> timeout; // seconds
};
Question read_question(const Proxy &backend, Findings &findings);

// A server's health table, also if it is not checked: it must not inherit another's.
json health_table(const Server &server, const Question &question);

} // namespace evnf::elb::haproxy
