// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/elb/cli_import.hpp"

#include <fstream>
#include <memory>

#include "vnfs/elb/haproxy/import.hpp"

namespace evnf::elb
{

namespace
{

using cli::Context;
using cli::json;
using haproxy::Finding;

constexpr const char *help =
    "FILE is a configuration of HAProxy. Its frontends and listens that do nothing but balance\n"
    "connections of TCP become services; what else they do, elb cannot, and so they stay with\n"
    "HAProxy, each with the lines that are the reason. HAProxy may go on running on this host:\n"
    "its sockets get what is no service of elb, and keep the connections that they have. Without\n"
    "--apply the services are printed, for a configuration file; with it they are added to those\n"
    "in force, or take their places, all or none. Servers then see the clients' addresses, and\n"
    "must answer by way of this host.";

struct ImportWords {
    std::string path;
    std::vector<std::string> addresses;
    bool unlimited = false;
    bool apply = false;
};

std::string place_text(const std::string &path, const Finding &f)
{
    return path + ":" + std::to_string(f.place.line) + ":" + std::to_string(f.place.column);
}

std::string findings_text(const std::string &path, const std::vector<Finding> &findings,
                          const std::string &heading, const std::string &begin)
{
    std::string out = findings.empty() ? "" : begin + heading + "\n";
    for (const auto &f : findings)
        out += begin + "  " + place_text(path, f) + ": " + f.proxy + ": " + f.what + "\n";
    return out;
}

json findings_json(const std::vector<Finding> &findings)
{
    json out = json::array();
    for (const auto &f : findings)
        out.push_back({{"line", f.place.line},
                       {"column", f.place.column},
                       {"proxy", f.proxy},
                       {"text", f.text},
                       {"because", f.what}});
    return out;
}

// A TOML inline value; JSON's strings and numbers are TOML's.
std::string toml_value(const json &value)
{
    std::string out;
    if (value.is_object()) {
        for (const auto &[key, item] : value.items())
            out += (out.empty() ? "" : ", ") + key + " = " + toml_value(item);
        return "{ " + out + " }";
    }
    if (value.is_array()) {
        for (const auto &item : value)
            out += (out.empty() ? "" : ", ") + toml_value(item);
        return "[" + out + "]";
    }
    return value.dump();
}

std::string toml_text(const json &services)
{
    std::string out;
    for (const auto &s : services) {
        out += "\n[[elb.service]]\n";
        for (const char *key : {"address", "port", "protocol", "health", "balance", "affinity",
                                "affinity_prefix", "affinity_timeout", "timeouts"})
            if (s.contains(key))
                out += std::string(key) + " = " + toml_value(s[key]) + "\n";
        out += "backends = [\n";
        for (const auto &b : s["backends"])
            out += "  " + toml_value(b) + ",\n";
        out += "]\n";
    }
    return out;
}

std::string report(const std::string &path, const haproxy::Import &taken, const std::string &begin)
{
    return findings_text(path, taken.findings.refused, "stays with HAProxy:", begin) +
           findings_text(path, taken.findings.different, "is not the same:", begin);
}

// The daemon's word on a service, as one on the line that it comes from.
Error with_place(Error e, const std::string &path, const haproxy::Import &taken)
{
    constexpr std::string_view place = "/services/";
    if (!e.where.starts_with(place))
        return e;
    const auto index = std::strtoul(e.where.c_str() + place.size(), nullptr, 10);
    if (index < taken.origins.size())
        e = haproxy::at(path, taken.origins[index].place,
                        taken.origins[index].proxy + ": " + e.what);
    return e;
}

void apply(Context &context, const std::string &path, const haproxy::Import &taken, json out)
{
    auto reply = context.call("PUT", "/v1/elb/services", {{"services", taken.services}});
    if (!reply)
        return context.fail(with_place(reply.error(), path, taken));
    out.update(*reply);
    context.print(out, [&](const json &r) {
        std::string text = report(path, taken, "");
        for (const char *what : {"added", "changed"})
            for (const auto &name : r[what])
                text += std::string(what) + " service " + name.get<std::string>() + "\n";
        return text + std::to_string(r["kept"].get<std::size_t>()) + " kept as they were\n";
    });
}

void import_file(Context &context, const ImportWords &given)
{
    std::ifstream in(given.path);
    if (!in)
        return context.fail(sys_error("read " + given.path));
    const std::string text(std::istreambuf_iterator<char>(in), {});
    if (in.bad())
        return context.fail(sys_error("read " + given.path));
    haproxy::ImportOptions options{.unlimited = given.unlimited};
    for (const auto &a : given.addresses) {
        auto address = Address::parse(a);
        if (!address)
            return context.fail(address.error());
        options.addresses.push_back(*address);
    }
    auto taken = haproxy::import_services(text, given.path, options);
    if (!taken)
        return context.fail(taken.error());
    const json out{{"services", taken->services},
                   {"left", findings_json(taken->findings.refused)},
                   {"differs", findings_json(taken->findings.different)}};
    if (given.apply)
        return apply(context, given.path, *taken, out);
    context.print(out, [&](const json &r) {
        return report(given.path, *taken, "# ") + toml_text(r["services"]);
    });
}

} // namespace

void add_import_verb(CLI::App &elb, cli::Context &context)
{
    auto *verb = elb.add_subcommand("import", "Make services of a configuration of HAProxy");
    auto given = std::make_shared<ImportWords>();
    verb->add_option("FILE", given->path, "A configuration of HAProxy")->required();
    verb->add_option("--address", given->addresses,
                     "What a bind to all addresses is for; may be given more than once")
        ->expected(1);
    verb->add_flag("--unlimited", given->unlimited,
                   "Take servers without their maxconn, minconn and maxqueue");
    verb->add_flag("--apply", given->apply, "Put them in force");
    verb->footer(help);
    verb->callback([&context, given] { import_file(context, *given); });
}

} // namespace evnf::elb
