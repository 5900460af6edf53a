// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/elb/section.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "vnfs/elb/section_read.hpp"
#include "vnfs/elb/timeouts.hpp"
#include "vnfs/table_reader.hpp"

namespace evnf::elb
{

namespace
{

using BackendKey = std::pair<std::string, std::string>; // service, endpoint

std::map<BackendKey, std::uint16_t> ids_of(const std::vector<Service> &services)
{
    std::map<BackendKey, std::uint16_t> out;
    for (const auto &s : services)
        for (const auto &b : s.backends)
            out[{s.name(), b.endpoint.text()}] = b.id;
    return out;
}

// A backend keeps its id while it stays; new ones get the next in rotation, so that an id
// whose old connections may still count is not given again soon. Gives the next id.
unsigned number_backends(std::vector<Service> &services, const json &running)
{
    const auto known = ids_of(running.is_object() ? services_of(running) : std::vector<Service>());
    unsigned next = running.is_object() ? running.value("next_id", 0U) : 0U;
    std::set<unsigned> taken;
    for (const auto &s : services)
        for (const auto &b : s.backends)
            if (const auto it = known.find({s.name(), b.endpoint.text()}); it != known.end())
                taken.insert(it->second);
    for (auto &s : services)
        for (auto &b : s.backends) {
            if (const auto it = known.find({s.name(), b.endpoint.text()}); it != known.end()) {
                b.id = it->second;
                continue;
            }
            while (!taken.insert(next % ELB_MAX_BACKENDS).second)
                ++next;
            b.id = static_cast<std::uint16_t>(next++ % ELB_MAX_BACKENDS);
        }
    return next % ELB_MAX_BACKENDS;
}

// The tables of one level that say what is asked of backends.
Result<> check_tables(const json &level, const std::string &where, HealthLevel kind)
{
    if (level.contains("health"))
        if (auto r = check_health(level["health"], where + "/health", kind); !r)
            return r;
    if (level.contains("feedback"))
        return check_feedback(level["feedback"], where + "/feedback");
    return Unit{};
}

// A backend that keeps the client's port has none of its own to be asked at.
Result<> check_ports(const Backend &backend, const HealthSettings &health,
                     const FeedbackSettings &feedback, const std::string &where)
{
    using Type = HealthSettings::Type;
    if (backend.endpoint.port)
        return Unit{};
    if (health.type != Type::none && health.type != Type::script && !health.port)
        return bad_input(
            "backend " + backend.endpoint.text() +
                " has no port of its own: say which one to check, health = { port = … }",
            where);
    for (const auto &i : feedback.indices)
        if (!i.is_snmp() && !i.port)
            return bad_input("backend " + backend.endpoint.text() +
                                 " has no port of its own: say at which one to ask for index " +
                                 i.name + ", port = …",
                             where);
    return Unit{};
}

// Services that would have the same packets.
Result<> check_clashes(const std::vector<Service> &services, const Service &added,
                       const std::string &where)
{
    for (const auto &s : services) {
        if (s.protocol != added.protocol || s.address != added.address)
            continue;
        if (const auto range = added.ports.clash(s.ports))
            return bad_input("port " + range->text() + " of service " + added.name() +
                                 " is one of service " + s.name() +
                                 " too: a port may be in one range, and by itself in another "
                                 "service, which goes before",
                             where + "/port");
    }
    return Unit{};
}

// What a backend answers to a source must not look like a client's packet to a service.
Result<> check_sources(const std::vector<Service> &services)
{
    for (std::size_t i = 0; i < services.size(); ++i) {
        const Service &s = services[i];
        const auto &sources = s.forwarding.sources;
        if (s.forwarding.how != ELB_SOURCE_NAT)
            continue;
        const PortRange ports{s.forwarding.first_port, s.forwarding.last_port};
        for (const auto &other : services) {
            const auto &theirs = other.ports.ranges();
            if (other.protocol == s.protocol &&
                std::count(sources.begin(), sources.end(), other.address) &&
                std::any_of(theirs.begin(), theirs.end(),
                            [&](const PortRange &r) { return r.overlaps(ports); }))
                return bad_input("source " + other.address.text() + " has ports of service " +
                                     other.name() + " among its source_ports, " + ports.text() +
                                     ": give another source, or other source_ports",
                                 "/service/" + std::to_string(i) + "/sources");
        }
    }
    return Unit{};
}

// Each table by itself, and all that count for a backend together.
Result<> check_watching(const json &item, const json &section, const Service &service,
                        const std::string &where)
{
    if (auto r = check_tables(item, where, HealthLevel::service); !r)
        return r;
    if (item.contains("timeouts"))
        if (auto r = check_timeouts(item["timeouts"], where + "/timeouts", TimeoutLevel::service);
            !r)
            return r;
    for (std::size_t i = 0; i < service.backends.size(); ++i) {
        const json &own = item["backends"][i];
        const std::string at = where + "/backends/" + std::to_string(i);
        if (auto r = check_tables(own, at, HealthLevel::backend); !r)
            return r;
        const auto tables = [&](const char *key) {
            return std::vector{section.value(key, json()), item.value(key, json()),
                               own.value(key, json())};
        };
        const auto health = health_of(tables("health"), at);
        if (!health)
            return health.error();
        const auto feedback = feedback_of(tables("feedback"), at);
        if (!feedback)
            return feedback.error();
        if (auto r = check_ports(service.backends[i], *health, *feedback, at); !r)
            return r;
    }
    return Unit{};
}

void copy_tables(const json &from, json &to)
{
    for (const char *key : {"health", "feedback", "timeouts"})
        if (from.contains(key))
            to[key] = from[key];
}

} // namespace

Result<json> check_section(const json &section, const json &running)
{
    const json given = section.is_null() ? json::object() : section;
    const TableReader reader(given, "");
    if (auto r = reader.only(
            {"connections", "service", "next_id", "health", "feedback", "timeouts"}, "elb");
        !r)
        return r.error();
    auto connections = reader.number("connections", 1024, 16 << 20, default_connections);
    if (!connections)
        return connections.error();
    if (auto r = check_tables(given, "", HealthLevel::service); !r)
        return r.error();
    if (given.contains("timeouts"))
        if (auto r = check_timeouts(given["timeouts"], "/timeouts", TimeoutLevel::all); !r)
            return r.error();
    const json items = given.value("service", json::array());
    if (!items.is_array())
        return bad_input("services are an array of tables: [[elb.service]]", "/service");
    if (items.size() > ELB_MAX_SERVICES)
        return bad_input(std::to_string(items.size()) + " services are given, elb holds at most " +
                             std::to_string(ELB_MAX_SERVICES),
                         "/service");
    std::vector<Service> services;
    std::set<std::string> names;
    std::size_t backends = 0, ports = 0;
    for (const auto &item : items) {
        const std::string where = "/service/" + std::to_string(services.size());
        auto service = read_service(item, where);
        if (!service)
            return service.error();
        if (!names.insert(service->name()).second)
            return bad_input("this service stands twice: " + service->name(), where);
        if (auto r = check_clashes(services, *service, where); !r)
            return r.error();
        backends += service->backends.size();
        ports += service->ports.ranges().size();
        if (ports > ELB_MAX_PORTS)
            return bad_input("the services have more ports and ranges than the " +
                                 std::to_string(ELB_MAX_PORTS) + " that elb holds",
                             where);
        if (backends > ELB_MAX_BACKENDS)
            return bad_input("there are more backends than the " +
                                 std::to_string(ELB_MAX_BACKENDS) + " that elb holds",
                             where);
        if (auto r = check_watching(item, given, *service, where); !r)
            return r.error();
        services.push_back(*std::move(service));
    }
    if (auto r = check_sources(services); !r)
        return r.error();
    const unsigned next_id = number_backends(services, running);
    json out{{"connections", *connections}, {"next_id", next_id}, {"service", json::array()}};
    for (std::size_t i = 0; i < services.size(); ++i)
        out["service"].push_back(to_json(services[i], items[i]));
    copy_tables(given, out);
    return out;
}

} // namespace evnf::elb
