// SPDX-License-Identifier: GPL-2.0-or-later
// evnf elb service list, backend list, stats.
#include <cstdio>

#include "vnfs/elb/cli_words.hpp"

namespace evnf::elb
{

namespace
{

using cli::Context;
using cli::json;
using Rows = std::vector<std::vector<std::string>>;

std::string endpoint_text(const json &table)
{
    const auto host = table["address"].get<std::string>();
    if (!table.contains("port"))
        return host;
    const auto port = table["port"].is_string() ? table["port"].get<std::string>()
                                                : std::to_string(table["port"].get<unsigned>());
    return (host.find(':') == host.npos ? host : "[" + host + "]") + ":" + port;
}

// What the weight is by health and load; the same if elb is in no chain.
std::string effective(const json &backend)
{
    char out[16];
    std::snprintf(out, sizeof out, "%g",
                  backend.value("effective", backend["weight"].get<double>()));
    return out;
}

std::string percent(const json &share)
{
    char out[16];
    std::snprintf(out, sizeof out, "%.1f%%", share.get<double>() * 100);
    return out;
}

// If elb is in no chain, nothing is.
bool is_counted(const json &backend)
{
    return backend.contains("connections");
}

// What is counted of one backend, or of all of a service.
struct Counts {
    std::uint64_t connections = 0, established = 0, active = 0, moved = 0, client_resets = 0,
                  backend_resets = 0, to_packets = 0, to_bytes = 0, from_packets = 0,
                  from_bytes = 0;

    void add(const json &b)
    {
        if (!is_counted(b))
            return;
        connections += b["connections"].get<std::uint64_t>();
        established += b["established"].get<std::uint64_t>();
        active += b["active"].get<std::uint64_t>();
        moved += b["moved"].get<std::uint64_t>();
        client_resets += b["resets"]["by_client"].get<std::uint64_t>();
        backend_resets += b["resets"]["by_backend"].get<std::uint64_t>();
        to_packets += b["to_backend"]["packets"].get<std::uint64_t>();
        to_bytes += b["to_backend"]["bytes"].get<std::uint64_t>();
        from_packets += b["to_client"]["packets"].get<std::uint64_t>();
        from_bytes += b["to_client"]["bytes"].get<std::uint64_t>();
    }
    [[nodiscard]] std::vector<std::string> row(const std::string &service,
                                               const std::string &backend) const
    {
        std::vector<std::string> out{service, backend};
        for (const auto n : {connections, established, active, moved, client_resets, backend_resets,
                             to_packets, to_bytes, from_packets, from_bytes})
            out.push_back(std::to_string(n));
        return out;
    }
};

bool takes_part(const json &backend)
{
    return backend.value("effective", backend["weight"].get<double>()) > 0;
}

std::string services_text(const json &section)
{
    Rows rows{{"SERVICE", "FORWARD", "BACKENDS", "SERVING", "CONNECTIONS", "ACTIVE", "TO-BYTES",
               "FROM-BYTES"}};
    for (const auto &s : section["service"]) {
        Counts total;
        unsigned serving = 0;
        for (const auto &b : s["backends"]) {
            total.add(b);
            serving += takes_part(b);
        }
        rows.push_back({service_text(s), s.value("forward", "nat"),
                        std::to_string(s["backends"].size()), std::to_string(serving),
                        std::to_string(total.connections), std::to_string(total.active),
                        std::to_string(total.to_bytes), std::to_string(total.from_bytes)});
    }
    return cli::table(rows);
}

std::string backends_text(const json &section)
{
    Rows rows{{"SERVICE", "BACKEND", "STATE", "SINCE", "WEIGHT", "EFFECTIVE", "SHARE", "SLOTS",
               "CONNECTIONS", "ACTIVE", "LAST CHECK"}};
    for (const auto &s : section["service"])
        for (const auto &b : s["backends"]) {
            const bool counted = is_counted(b);
            rows.push_back(
                {service_text(s), endpoint_text(b) + (b.value("backup", false) ? " backup" : ""),
                 b.value("state", "-"), b.contains("since") ? span_text(b["since"]) : "-",
                 b["weight"].dump(), effective(b), counted ? percent(b["share"]) : "-",
                 counted ? b["slots"].dump() : "-", counted ? b["connections"].dump() : "-",
                 counted ? b["active"].dump() : "-",
                 b.contains("last") ? b["last"]["text"].get<std::string>() : "-"});
        }
    return cli::table(rows);
}

std::string stats_text(const json &section)
{
    Rows rows{{"SERVICE", "BACKEND", "CONNECTIONS", "ESTABLISHED", "ACTIVE", "MOVED",
               "CLIENT-RESETS", "RESETS", "TO-PACKETS", "TO-BYTES", "FROM-PACKETS", "FROM-BYTES"}};
    for (const auto &s : section["service"]) {
        Counts total;
        for (const auto &b : s["backends"]) {
            Counts one;
            one.add(b);
            total.add(b);
            rows.push_back(one.row(service_text(s), endpoint_text(b)));
        }
        rows.push_back(total.row(service_text(s), "all"));
    }
    return cli::table(rows);
}

void add_list(CLI::App *parent, Context &context, const char *name, const char *help,
              std::string (*human)(const json &))
{
    parent->add_subcommand(name, help)->callback([&context, human] {
        auto reply = context.call("GET", "/v1/elb");
        if (!reply)
            return context.fail(reply.error());
        context.print(*reply, human);
    });
}

} // namespace

std::string service_text(const json &service)
{
    return service["protocol"].get<std::string>() + " " + endpoint_text(service);
}

void add_list_verbs(CLI::App *elb, CLI::App *service, CLI::App *backend, Context &context)
{
    add_list(service, context, "list", "Show the services", services_text);
    add_list(backend, context, "list", "Show the backends, with their states and weights",
             backends_text);
    add_list(elb, context, "stats", "Show what is counted of each backend and service", stats_text);
}

} // namespace evnf::elb
