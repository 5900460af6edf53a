// SPDX-License-Identifier: GPL-2.0-or-later
// The verbs that change elb's section.
#include <algorithm>
#include <map>

#include "vnfs/elb/section_read.hpp"
#include "vnfs/table_reader.hpp"

namespace evnf::elb
{

namespace
{

json *find_service(json &section, const std::string &name)
{
    for (auto &s : section["service"]) {
        const auto service = read_service_alone(s, "");
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
    auto where = parse_service(endpoint);
    if (!where)
        return where.error();
    return Service{where->first, where->second, *number, {}}.name();
}

// As tables without ids, to compare what was given.
json without_ids(json service)
{
    for (auto &b : service["backends"])
        b.erase("id");
    return service;
}

Result<Edit> add_service(const json &section, const Request &request)
{
    auto service = read_service(request.body, "");
    if (!service)
        return service.error();
    json next = section;
    if (find_service(next, service->name()))
        return Error{.code = EEXIST, .what = "there is this service already: " + service->name()};
    next["service"].push_back(without_ids(to_json(*service, request.body)));
    return Edit{next, {{"service", service->name()}}};
}

// Adds services, or puts them in the place of those that have their names.
Result<Edit> put_services(const json &section, const Request &request)
{
    const TableReader reader(request.body, "");
    if (auto r = reader.only({"services"}, "services"); !r)
        return r.error();
    if (!reader.has("services"))
        return bad_input(R"(the body is {"services": [...]})");
    json next = section;
    json given = section; // with them alone: for places in what was given
    given["service"] = reader["services"];
    auto checked = check_section(given, nullptr);
    if (!checked) {
        Error e = checked.error();
        if (e.where.starts_with("/service"))
            e.where.insert(sizeof "/service" - 1, "s");
        return e;
    }
    std::map<std::string, std::size_t> known;
    for (std::size_t i = 0; i < next["service"].size(); ++i)
        known.emplace(read_service_alone(next["service"][i], "")->name(), i);
    json added = json::array(), changed = json::array();
    for (const auto &item : (*checked)["service"]) {
        const std::string name = read_service_alone(item, "")->name();
        json table = without_ids(item);
        const auto found = known.find(name);
        json *old = found == known.end() ? nullptr : &next["service"][found->second];
        if (!old) {
            next["service"].push_back(std::move(table));
            added.push_back(name);
        } else if (without_ids(*old) != table) {
            *old = std::move(table);
            changed.push_back(name);
        }
    }
    const auto kept = (*checked)["service"].size() - added.size() - changed.size();
    return Edit{next, {{"added", added}, {"changed", changed}, {"kept", kept}}};
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
    json added = to_json(*backend, request.body);
    added.erase("id");
    (*service)["backends"].push_back(std::move(added));
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
    auto endpoint = parse_backend(request.words.at(2));
    if (!endpoint)
        return endpoint.error();
    Found f{0, 0, *name, {}};
    for (const auto &service : services_of(section)) {
        if (service.name() != *name) {
            ++f.service;
            continue;
        }
        if (!endpoint->port)
            endpoint->port = service.ports.one().value_or(0);
        f.backend_name = endpoint->text();
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

// Changes how a service chooses, key by key: null removes one.
Result<Edit> set_service(const json &section, const Request &request)
{
    auto name = service_name(request.words.at(0), request.words.at(1));
    if (!name)
        return name.error();
    json next = section;
    json *service = find_service(next, *name);
    if (!service)
        return no_service(*name);
    const TableReader reader(request.body, "");
    if (auto r = reader.only({choice_keys.begin(), choice_keys.end()}, "a change of a service"); !r)
        return r.error();
    service->merge_patch(request.body);
    if (auto changed = read_service_alone(*service, ""); !changed)
        return changed.error();
    json reply{{"service", *name}};
    for (const auto &key : choice_keys)
        if (service->contains(key))
            reply[key] = (*service)[key];
    return Edit{next, reply};
}

// Changes the tables of one level, key by key: null removes one, or a table.
Result<Edit> set_tables(const json &section, const Request &request)
{
    const TableReader reader(request.body, "");
    if (auto r = reader.only({"service", "backend", "health", "feedback", "timeouts"}, "settings");
        !r)
        return r.error();
    auto service = reader.text("service", "");
    auto backend = reader.text("backend", "");
    if (!service || !backend)
        return service ? backend.error() : service.error();
    if (service->empty() && !backend->empty())
        return bad_input("a backend is one of a service: say of which", "/backend");
    json next = section;
    if (!backend->empty() && reader.has("timeouts"))
        return bad_input("a backend has no timeouts of its own: they are its service's",
                         "/timeouts");
    json *level = service->empty() ? &next : find_service(next, *service);
    if (!level)
        return no_service(*service);
    if (!backend->empty()) {
        auto &all = (*level)["backends"];
        const auto it = std::find_if(all.begin(), all.end(), [&](const json &b) {
            return read_backend(b, *read_service_alone(*level, ""), "")->endpoint.text() ==
                   *backend;
        });
        if (it == all.end())
            return Error{.code = ENOENT, .what = *service + " has no backend " + *backend};
        level = &*it;
    }
    json reply = request.body;
    for (const char *key : {"health", "feedback", "timeouts"})
        if (reader.has(key)) {
            if (!reader[key].is_object() && !reader[key].is_null())
                return bad_input(std::string(key) + " is a table, or null for none",
                                 "/" + std::string(key));
            json patch = json::object();
            patch[key] = reader[key];
            level->merge_patch(patch);
            reply[key] = level->value(key, json::object());
        }
    return Edit{next, reply};
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

} // namespace

std::vector<Route> section_routes()
{
    const std::string service = "/services/([a-z]+)/([^/]+)";
    return {{"POST", "/services", add_service},
            {"PUT", "/services", put_services},
            {"DELETE", service, remove_service},
            {"PUT", "/settings", set_tables},
            {"POST", service + "/backends", add_backend},
            {"PUT", service + "/backends/([^/]+)", set_backend},
            {"PUT", service, set_service},
            {"DELETE", service + "/backends/([^/]+)", remove_backend}};
}

} // namespace evnf::elb
