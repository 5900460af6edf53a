// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/elb/section.hpp"

#include <netinet/in.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "base/text.hpp"

namespace evnf::elb
{

namespace
{

constexpr unsigned default_connections = 131072;
constexpr unsigned max_weight = 1000;

// Reads the keys of one table, each with its place for errors.
class TableReader
{
public:
    TableReader(const json &table, std::string where) : table_(table), where_(std::move(where)) {}

    Result<> only(const std::set<std::string> &keys, const std::string &what) const
    {
        if (!table_.is_object())
            return bad_input(what + " is a table", where_);
        for (const auto &[key, value] : table_.items())
            if (!keys.contains(key))
                return bad_input(in_quotes(key) + " is not a key of " + what, where_ + "/" + key);
        return Unit{};
    }

    Result<unsigned> number(const std::string &key, unsigned low, unsigned high,
                            std::optional<unsigned> otherwise = {}) const
    {
        const auto it = table_.find(key);
        if (it == table_.end() && otherwise)
            return *otherwise;
        if (it == table_.end())
            return bad_input("a " + key + " is missing", where_);
        const bool good = it->is_number_integer() && *it >= low && *it <= high;
        if (!good)
            return bad_input(key + " is a number from " + std::to_string(low) + " to " +
                                 std::to_string(high),
                             where_ + "/" + key);
        return it->get<unsigned>();
    }

    Result<std::string> text(const std::string &key) const
    {
        const auto it = table_.find(key);
        if (it == table_.end())
            return bad_input("a " + key + " is missing", where_);
        if (!it->is_string())
            return bad_input(key + " is a string", where_ + "/" + key);
        return it->get<std::string>();
    }

    Result<Endpoint> endpoint() const
    {
        auto host = text("address");
        if (!host)
            return host.error();
        auto address = Address::parse(*host);
        if (!address)
            return bad_input(address.error().what, where_ + "/address", 0, host->size());
        auto port = number("port", 1, 65535);
        if (!port)
            return port.error();
        return Endpoint{*address, static_cast<std::uint16_t>(*port)};
    }

private:
    const json &table_;
    std::string where_;
};

Result<Backend> read_backend(const json &table, const Service &service, const std::string &where)
{
    const TableReader reader(table, where);
    if (auto r = reader.only({"id", "address", "port", "weight"}, "a backend"); !r)
        return r.error();
    auto endpoint = reader.endpoint();
    if (!endpoint)
        return endpoint.error();
    auto weight = reader.number("weight", 0, max_weight, 1);
    if (!weight)
        return weight.error();
    if (endpoint->address.family() != service.endpoint.address.family())
        return bad_input("backend " + endpoint->text() + " and service " + service.name() +
                             " are not of one IP version",
                         where + "/address");
    if (*endpoint == service.endpoint)
        return bad_input("the backend is the service itself: " + endpoint->text(), where);
    return Backend{*endpoint, *weight, 0};
}

Result<Service> read_service(const json &table, const std::string &where)
{
    const TableReader reader(table, where);
    if (auto r = reader.only({"address", "port", "protocol", "backends"}, "a service"); !r)
        return r.error();
    auto endpoint = reader.endpoint();
    if (!endpoint)
        return endpoint.error();
    auto protocol = reader.text("protocol");
    if (!protocol)
        return protocol.error();
    if (*protocol != "tcp" && *protocol != "udp")
        return bad_input(in_quotes(*protocol) + " cannot be balanced: tcp or udp",
                         where + "/protocol", 0, protocol->size());
    Service s{*endpoint, *parse_protocol(*protocol), {}};
    const json backends = table.value("backends", json::array());
    if (!backends.is_array())
        return bad_input("backends are an array of tables", where + "/backends");
    for (const auto &item : backends) {
        const std::string at = where + "/backends/" + std::to_string(s.backends.size());
        auto backend = read_backend(item, s, at);
        if (!backend)
            return backend.error();
        for (const auto &other : s.backends)
            if (other.endpoint == backend->endpoint)
                return bad_input("backend " + other.endpoint.text() + " stands twice", at);
        s.backends.push_back(*backend);
    }
    return s;
}

json to_json(const Service &s)
{
    json backends = json::array();
    for (const auto &b : s.backends)
        backends.push_back({{"id", b.id},
                            {"address", b.endpoint.address.text()},
                            {"port", b.endpoint.port},
                            {"weight", b.weight}});
    return {{"address", s.endpoint.address.text()},
            {"port", s.endpoint.port},
            {"protocol", protocol_text(s.protocol)},
            {"backends", std::move(backends)}};
}

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

json *find_service(json &section, const std::string &name)
{
    for (auto &s : section["service"]) {
        const auto service = read_service(s, "");
        if (service && service->name() == name)
            return &s;
    }
    return nullptr;
}

Error no_service(const std::string &name)
{
    return {.code = ENOENT, .what = "there is no service " + name};
}

// The name of a service, made canonical, of the words of a request's path.
Result<std::string> service_name(const std::string &protocol, const std::string &endpoint)
{
    auto number = parse_protocol(protocol);
    if (!number)
        return number.error();
    auto e = Endpoint::parse(endpoint);
    if (!e)
        return e.error();
    return Service{*e, *number, {}}.name();
}

Result<Edit> add_service(const json &section, const Request &request)
{
    auto service = read_service(request.body, "");
    if (!service)
        return service.error();
    json next = section;
    if (find_service(next, service->name()))
        return Error{.code = EEXIST, .what = "there is this service already: " + service->name()};
    next["service"].push_back(to_json(*service));
    for (auto &b : next["service"].back()["backends"])
        b.erase("id");
    return Edit{next, {{"service", service->name()}}};
}

Result<Edit> remove_service(const json &section, const Request &request)
{
    auto name = service_name(request.words.at(0), request.words.at(1));
    if (!name)
        return name.error();
    json next = section;
    const json *found = find_service(next, *name);
    if (!found)
        return no_service(*name);
    next["service"].erase(static_cast<std::size_t>(found - &next["service"][0]));
    return Edit{next, {{"service", *name}}};
}

Result<Edit> add_backend(const json &section, const Request &request)
{
    auto name = service_name(request.words.at(0), request.words.at(1));
    if (!name)
        return name.error();
    json next = section;
    json *service = find_service(next, *name);
    if (!service)
        return no_service(*name);
    auto owner = read_service(*service, "");
    if (!owner)
        return owner.error();
    auto backend = read_backend(request.body, *owner, "");
    if (!backend)
        return backend.error();
    for (const auto &b : owner->backends)
        if (b.endpoint == backend->endpoint)
            return Error{.code = EEXIST,
                         .what = *name + " has the backend " + b.endpoint.text() +
                                 " already: 'backend set' changes its weight"};
    (*service)["backends"].push_back({{"address", backend->endpoint.address.text()},
                                      {"port", backend->endpoint.port},
                                      {"weight", backend->weight}});
    return Edit{
        next,
        {{"service", *name}, {"backend", backend->endpoint.text()}, {"weight", backend->weight}}};
}

// The backend that a path names.
struct Found {
    std::size_t service; // its index in the section
    std::size_t backend; // its index in the service
    std::string service_name;
    std::string backend_name;
};

Result<Found> find_backend(const json &section, const Request &request)
{
    auto name = service_name(request.words.at(0), request.words.at(1));
    if (!name)
        return name.error();
    auto endpoint = Endpoint::parse(request.words.at(2));
    if (!endpoint)
        return endpoint.error();
    Found f{0, 0, *name, endpoint->text()};
    for (const auto &service : services_of(section)) {
        if (service.name() != *name) {
            ++f.service;
            continue;
        }
        for (const auto &b : service.backends) {
            if (b.endpoint == *endpoint)
                return f;
            ++f.backend;
        }
        return Error{.code = ENOENT, .what = *name + " has no backend " + endpoint->text()};
    }
    return no_service(*name);
}

Result<Edit> set_backend(const json &section, const Request &request)
{
    auto f = find_backend(section, request);
    if (!f)
        return f.error();
    const TableReader reader(request.body, "");
    if (auto r = reader.only({"weight"}, "a change of a backend"); !r)
        return r.error();
    auto weight = reader.number("weight", 0, max_weight);
    if (!weight)
        return weight.error();
    json next = section;
    next["service"][f->service]["backends"][f->backend]["weight"] = *weight;
    return Edit{next,
                {{"service", f->service_name}, {"backend", f->backend_name}, {"weight", *weight}}};
}

Result<Edit> remove_backend(const json &section, const Request &request)
{
    auto f = find_backend(section, request);
    if (!f)
        return f.error();
    json next = section;
    next["service"][f->service]["backends"].erase(f->backend);
    return Edit{next, {{"service", f->service_name}, {"backend", f->backend_name}}};
}

std::map<std::string, Service> by_name(const json &section)
{
    std::map<std::string, Service> out;
    if (section.is_object())
        for (auto &s : services_of(section))
            out.emplace(s.name(), s);
    return out;
}

void diff_backends(const Service &from, const Service &to, std::vector<std::string> &out)
{
    auto find = [](const Service &s, const Endpoint &e) {
        return std::find_if(s.backends.begin(), s.backends.end(),
                            [&](const Backend &b) { return b.endpoint == e; });
    };
    for (const auto &b : from.backends)
        if (find(to, b.endpoint) == to.backends.end())
            out.push_back("- elb backend " + to.name() + " " + b.endpoint.text());
    for (const auto &b : to.backends) {
        const auto old = find(from, b.endpoint);
        const std::string line = "elb backend " + to.name() + " " + b.endpoint.text() + " weight ";
        if (old == from.backends.end())
            out.push_back("+ " + line + std::to_string(b.weight));
        else if (old->weight != b.weight)
            out.push_back("~ " + line + std::to_string(old->weight) + " -> " +
                          std::to_string(b.weight));
    }
}

} // namespace

std::string Service::name() const
{
    return protocol_text(protocol) + " " + endpoint.text();
}

Result<json> check_section(const json &section, const json &running)
{
    const json given = section.is_null() ? json::object() : section;
    const TableReader reader(given, "");
    if (auto r = reader.only({"connections", "service", "next_id"}, "elb"); !r)
        return r.error();
    auto connections = reader.number("connections", 1024, 16 << 20, default_connections);
    if (!connections)
        return connections.error();
    const json items = given.value("service", json::array());
    if (!items.is_array())
        return bad_input("services are an array of tables: [[elb.service]]", "/service");
    if (items.size() > ELB_MAX_SERVICES)
        return bad_input(std::to_string(items.size()) + " services are given, elb holds at most " +
                             std::to_string(ELB_MAX_SERVICES),
                         "/service");
    std::vector<Service> services;
    std::set<std::string> names;
    std::size_t backends = 0;
    for (const auto &item : items) {
        const std::string where = "/service/" + std::to_string(services.size());
        auto service = read_service(item, where);
        if (!service)
            return service.error();
        if (!names.insert(service->name()).second)
            return bad_input("this service stands twice: " + service->name(), where);
        backends += service->backends.size();
        if (backends > ELB_MAX_BACKENDS)
            return bad_input("there are more backends than the " +
                                 std::to_string(ELB_MAX_BACKENDS) + " that elb holds",
                             where);
        services.push_back(*std::move(service));
    }
    const unsigned next_id = number_backends(services, running);
    json out{{"connections", *connections}, {"next_id", next_id}, {"service", json::array()}};
    for (const auto &s : services)
        out["service"].push_back(to_json(s));
    return out;
}

std::vector<std::string> diff_sections(const json &from, const json &to)
{
    std::vector<std::string> out;
    const unsigned old_size =
        from.is_object() ? from["connections"].get<unsigned>() : default_connections;
    const auto new_size = to["connections"].get<unsigned>();
    if (old_size != new_size)
        out.push_back("~ elb connections " + std::to_string(old_size) + " -> " +
                      std::to_string(new_size));
    const auto before = by_name(from);
    const auto after = by_name(to);
    for (const auto &[name, service] : before)
        if (!after.contains(name))
            out.push_back("- elb service " + name);
    for (const auto &[name, service] : after) {
        const auto old = before.find(name);
        if (old == before.end())
            out.push_back("+ elb service " + name);
        diff_backends(old == before.end() ? Service{service.endpoint, service.protocol, {}}
                                          : old->second,
                      service, out);
    }
    return out;
}

std::vector<Route> section_routes()
{
    const std::string service = "/services/([a-z]+)/([^/]+)";
    return {{"POST", "/services", add_service},
            {"DELETE", service, remove_service},
            {"POST", service + "/backends", add_backend},
            {"PUT", service + "/backends/([^/]+)", set_backend},
            {"DELETE", service + "/backends/([^/]+)", remove_backend}};
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

} // namespace evnf::elb
