// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>
#include <map>

#include "vnfs/elb/section_read.hpp"

namespace evnf::elb
{

namespace
{

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

// Settings of one level.
void diff_settings(const json &from, const json &to, const std::string &level,
                   std::vector<std::string> &out)
{
    std::vector<std::string> keys{"health", "feedback", "timeouts", "backup"};
    keys.insert(keys.end(), choice_keys.begin(), choice_keys.end());
    keys.insert(keys.end(), forwarding_keys.begin(), forwarding_keys.end());
    for (const auto &key : keys) {
        const json before = from.is_object() ? from.value(key, json()) : json();
        const json after = to.value(key, json());
        if (before == after)
            continue;
        const std::string line = level + " " + key;
        if (after.is_null())
            out.push_back("- " + line);
        else
            out.push_back((before.is_null() ? "+ " : "~ ") + line + " " + after.dump());
    }
}

// Tables of a checked section, by what they are about.
std::map<std::string, json> levels_of(const json &section)
{
    std::map<std::string, json> out;
    if (!section.is_object())
        return out;
    const auto services = services_of(section);
    for (std::size_t i = 0; i < services.size(); ++i) {
        const json &table = section["service"][i];
        out["elb service " + services[i].name()] = table;
        for (std::size_t k = 0; k < services[i].backends.size(); ++k)
            out["elb backend " + services[i].name() + " " +
                services[i].backends[k].endpoint.text()] = table["backends"][k];
    }
    return out;
}

} // namespace

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
        diff_backends(old == before.end()
                          ? Service{service.address, service.ports, service.protocol, {}}
                          : old->second,
                      service, out);
    }
    diff_settings(from, to, "elb", out);
    const auto old_levels = levels_of(from);
    for (const auto &[level, table] : levels_of(to)) {
        const auto old = old_levels.find(level);
        diff_settings(old == old_levels.end() ? json() : old->second, table, level, out);
    }
    return out;
}

} // namespace evnf::elb
