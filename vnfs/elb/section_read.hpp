// SPDX-License-Identifier: GPL-2.0-or-later
// For the parts of elb's section: one service or backend of it, read and written.
#pragma once

#include "vnfs/elb/section.hpp"

namespace evnf::elb
{

constexpr unsigned default_connections = 131072;
constexpr unsigned max_weight = 1000;

Result<Backend> read_backend(const json &table, const Service &service, const std::string &where);
Result<Service> read_service(const json &table, const std::string &where);
// The same without its backends, of which there may be many.
Result<Service> read_service_alone(const json &table, const std::string &where);

// Canonical; `given` is the table that the service or backend was read from.
json to_json(const Backend &b, const json &given);
json to_json(const Service &s, const json &given);

} // namespace evnf::elb
