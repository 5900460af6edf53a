// SPDX-License-Identifier: GPL-2.0-or-later
// How a backend's health is checked: elb's `health` tables. What a backend's table does not
// say, its service's does; what that does not, [elb.health] does.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "vnfs/vnf.hpp"

namespace evnf::elb
{

struct HealthSettings {
    enum class Type { none, tcp, http, https, script };
    Type type = Type::none;
    std::optional<std::uint16_t> port; // none: the backend's
    double interval = 2;               // seconds, from one check's start to the next
    double timeout = 1;                // seconds
    double jitter = 0.1;               // share of the interval that chance adds or takes
    unsigned rise = 2;                 // good checks in a row until it is up again
    unsigned fall = 3;                 // bad checks in a row until it is down
    double slow_start = 0;             // seconds from coming up to the whole weight
    bool resets = false;               // when it is down: the connections that it has

    // http and https
    std::string method = "GET";
    std::string path = "/";
    std::string host; // of the request; none: the address
    std::vector<std::pair<unsigned, unsigned>> status{{200, 399}}; // ranges that are good
    std::string body;                                              // must be in the answer
    std::string body_regex; // must match somewhere (POSIX extended)
    bool verify = false;    // https: the certificate
    std::string ca_file;    // none: those of the system

    std::vector<std::string> command; // script
    friend bool operator==(const HealthSettings &, const HealthSettings &) = default;
};

// Which level of the configuration a table stands at: panic is a service's.
enum class HealthLevel { service, backend };

// Whether one table is good in itself.
Result<> check_health(const json &table, const std::string &where, HealthLevel level);
// Of tables that check_health() found good, the first the most general; also whether they are
// complete together. `where` is for the error.
Result<HealthSettings> health_of(const std::vector<json> &tables, const std::string &where);
// The share of the weight that must be up, in percent: with less, all are treated as up.
double panic_of(const std::vector<json> &tables);

std::string_view type_text(HealthSettings::Type type);

} // namespace evnf::elb
