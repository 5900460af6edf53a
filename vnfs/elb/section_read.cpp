// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/elb/section_read.hpp"

#include <netinet/in.h>

#include <set>

#include "base/text.hpp"
#include "vnfs/elb/monitor/weigh.hpp"
#include "vnfs/table_reader.hpp"

namespace evnf::elb
{

namespace
{

void copy_keys(const json &from, json &to, const std::vector<std::string> &keys)
{
    for (const auto &key : keys)
        if (from.is_object() && from.contains(key))
            to[key] = from[key];
}

} // namespace

Result<Backend> read_backend(const json &table, const Service &service, const std::string &where)
{
    const TableReader reader(table, where);
    if (auto r = reader.only({"id", "address", "port", "weight", "backup", "health", "feedback"},
                             "a backend");
        !r)
        return r.error();
    auto endpoint = reader.endpoint(service.ports.one().value_or(0));
    if (!endpoint)
        return endpoint.error();
    auto weight = reader.number("weight", 0, max_weight, 1);
    if (!weight)
        return weight.error();
    if (auto backup = reader.flag("backup", false); !backup)
        return backup.error();
    if (endpoint->address.family() != service.address.family())
        return bad_input("backend " + endpoint->text() + " and service " + service.name() +
                             " are not of one IP version",
                         where + "/address");
    if (service.forwarding.one_way() && endpoint->port && endpoint->port != service.ports.one())
        return bad_input("backend " + endpoint->text() + " gets the packets to " + service.name() +
                             " as they are: leave its port out, or write forward = \"nat\" for "
                             "the service",
                         where + "/port");
    if (endpoint->address == service.address &&
        (!endpoint->port || service.ports.contains(endpoint->port)))
        return bad_input("the backend is the service itself: " + endpoint->text(), where);
    if (service.protocol == IPPROTO_SCTP && endpoint->port && endpoint->port != service.ports.one())
        return bad_input("backend " + endpoint->text() + " has another port than " +
                             service.name() +
                             ", and SCTP's checksum covers ports, which elb does not make anew: "
                             "leave the backend's port out, and let it listen on the service's",
                         where + "/port");
    return Backend{*endpoint, *weight, 0, *weight * weight_scale};
}

Result<Service> read_service_alone(const json &table, const std::string &where)
{
    const TableReader reader(table, where);
    std::set<std::string> keys{"address", "port",     "protocol", "backends",
                               "health",  "feedback", "timeouts"};
    keys.insert(choice_keys.begin(), choice_keys.end());
    keys.insert(forwarding_keys.begin(), forwarding_keys.end());
    if (auto r = reader.only(keys, "a service"); !r)
        return r.error();
    auto address = reader.address();
    if (!address)
        return address.error();
    if (!reader.has("port"))
        return bad_input("a port is missing", where);
    auto ports = Ports::read(table["port"], where + "/port");
    if (!ports)
        return ports.error();
    auto protocol = reader.text("protocol");
    if (!protocol)
        return protocol.error();
    if (*protocol != "tcp" && *protocol != "udp" && *protocol != "sctp")
        return bad_input(in_quotes(*protocol) + " cannot be balanced: tcp, udp or sctp",
                         where + "/protocol", 0, protocol->size());
    Service s{*address, *std::move(ports), *parse_protocol(*protocol), {}, {}, {}};
    if (auto r = take(s.choice, read_choice(table, where, address->is_v4() ? 4 : 6)); !r)
        return r.error();
    if (auto r = take(s.forwarding, read_forwarding(table, *address, where)); !r)
        return r.error();
    if (*protocol == "sctp" && s.forwarding.how == ELB_SOURCE_NAT)
        return bad_input(
            "SCTP's checksum covers ports, which source NAT may have to change, and "
            "elb does not make it anew: write forward = \"nat\", \"tunnel\" or \"direct\"",
            where + "/forward");
    return s;
}

Result<Service> read_service(const json &table, const std::string &where)
{
    auto read = read_service_alone(table, where);
    if (!read)
        return read.error();
    Service &s = *read;
    const json none = json::array();
    const json &backends = table.contains("backends") ? table["backends"] : none;
    if (!backends.is_array())
        return bad_input("backends are an array of tables", where + "/backends");
    std::set<Endpoint> endpoints;
    for (const auto &item : backends) {
        const std::string at = where + "/backends/" + std::to_string(s.backends.size());
        auto backend = read_backend(item, s, at);
        if (!backend)
            return backend.error();
        if (!endpoints.insert(backend->endpoint).second)
            return bad_input("backend " + backend->endpoint.text() + " stands twice", at);
        s.backends.push_back(*backend);
    }
    return read;
}

json to_json(const Backend &b, const json &given)
{
    json out{{"id", b.id}, {"address", b.endpoint.address.text()}, {"weight", b.weight}};
    if (b.endpoint.port)
        out["port"] = b.endpoint.port;
    copy_keys(given, out, {"backup", "health", "feedback"});
    return out;
}

json to_json(const Service &s, const json &given)
{
    json backends = json::array();
    for (std::size_t i = 0; i < s.backends.size(); ++i)
        backends.push_back(to_json(s.backends[i], given["backends"][i]));
    json out{{"address", s.address.text()},
             {"port", s.ports.to_json()},
             {"protocol", protocol_text(s.protocol)},
             {"backends", std::move(backends)}};
    copy_keys(given, out, {"health", "feedback", "timeouts"});
    copy_keys(given, out, choice_keys);
    copy_keys(given, out, forwarding_keys);
    return out;
}

std::string Service::name() const
{
    return protocol_text(protocol) + " " + service_text(address, ports);
}

std::uint64_t Service::id() const
{
    std::uint64_t h = 0xcbf29ce484222325; // FNV-1a
    for (const char c : name())
        h = (h ^ static_cast<std::uint8_t>(c)) * 0x100000001b3;
    return h | 1;
}

std::vector<Service> services_of(const json &section)
{
    std::vector<Service> out;
    for (const auto &item : section["service"]) {
        auto service = read_service(item, ""); // checked before: always good
        if (!service)
            continue;
        for (std::size_t i = 0; i < service->backends.size(); ++i)
            service->backends[i].id = item["backends"][i].value("id", std::uint16_t{0});
        out.push_back(*std::move(service));
    }
    return out;
}

std::vector<WatchedService> watched_of(const json &section)
{
    std::vector<WatchedService> out;
    const auto services = services_of(section);
    for (std::size_t i = 0; i < services.size(); ++i) {
        const json &table = section["service"][i];
        WatchedService s{services[i].name(),
                         panic_of({section.value("health", json()), table.value("health", json())}),
                         {}};
        for (std::size_t k = 0; k < services[i].backends.size(); ++k) {
            const json &own = table["backends"][k];
            const auto tables = [&](const char *key) {
                return std::vector{section.value(key, json()), table.value(key, json()),
                                   own.value(key, json())};
            };
            const Backend &b = services[i].backends[k];
            // Checked before: always good.
            s.backends.push_back({b.endpoint, b.weight, own.value("backup", false),
                                  *health_of(tables("health"), ""),
                                  *feedback_of(tables("feedback"), "")});
        }
        out.push_back(std::move(s));
    }
    return out;
}

} // namespace evnf::elb
