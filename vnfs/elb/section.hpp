// SPDX-License-Identifier: GPL-2.0-or-later
// elb's configuration section:
//   {"connections": 131072, "next_id": 2, "health": {…}, "feedback": {…}, "timeouts": {…},
//    "service": [{"address": "192.0.2.10", "port": 80, "protocol": "tcp", "health": {…}, …,
//                 "forward": "source_nat", "sources": ["10.0.0.5"],
//                 "backends": [{"id": 0, "address": "10.0.2.11", "port": 80, "weight": 2,
//                               "backup": true, "health": {…}, "feedback": {…}}, …]}]}
// A service's port may be "8000-8999", "80,443" or "all", and it may have "timeouts" of its own,
// and what choice.hpp and forwarding.hpp read. A backend's port, "backup" and all tables may be
// missing; these are as they were given.
#pragma once

#include <string>
#include <vector>

#include "vnfs/elb/choice.hpp"
#include "vnfs/elb/feedback/settings.hpp"
#include "vnfs/elb/forwarding.hpp"
#include "vnfs/elb/health/settings.hpp"
#include "vnfs/elb/ports.hpp"
#include "vnfs/elb/slots.hpp"
#include "vnfs/vnf.hpp"

namespace evnf::elb
{

struct Backend {
    Endpoint endpoint; // without a port: that which the client asked for
    unsigned weight = 1;
    std::uint16_t id = 0;   // index into elb_backend_counters
    unsigned effective = 0; // of new connections, see monitor/weigh.hpp
    friend bool operator==(const Backend &, const Backend &) = default;
};

struct Service {
    Address address;
    Ports ports;
    std::uint8_t protocol = 0;
    std::vector<Backend> backends;
    Choice choice = {};
    Forwarding forwarding = {};

    // "tcp 192.0.2.10:80" or "udp 192.0.2.10:8000-8999", which names it.
    [[nodiscard]] std::string name() const;
    // The same as a number that is not zero.
    [[nodiscard]] std::uint64_t id() const;
    friend bool operator==(const Service &, const Service &) = default;
};

// What is asked of the backends of a service, to know their health and load.
struct WatchedBackend {
    Endpoint endpoint;
    unsigned weight = 1;
    bool backup = false;
    HealthSettings health;
    FeedbackSettings feedback;
};
struct WatchedService {
    std::string name;
    double panic = 0; // percent
    std::vector<WatchedBackend> backends;
};

// VnfType::check: backends may come without ids.
Result<json> check_section(const json &section, const json &running);
std::vector<std::string> diff_sections(const json &from, const json &to);
std::vector<Route> section_routes();

// The services of a checked section, each weight as it is without a monitor.
std::vector<Service> services_of(const json &section);
// The same in the same order, as a monitor sees them.
std::vector<WatchedService> watched_of(const json &section);

} // namespace evnf::elb
