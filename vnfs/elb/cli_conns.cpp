// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/elb/cli_conns.hpp"

#include <memory>

#include "base/net.hpp"

namespace evnf::elb
{

namespace
{

using cli::Context;
using cli::json;

struct Wanted {
    std::string service, backend, client;

    [[nodiscard]] json body() const
    {
        json out = json::object();
        for (const auto &[key, value] :
             {std::pair{"service", &service}, {"backend", &backend}, {"client", &client}})
            if (!value->empty())
                out[key] = *value;
        return out;
    }
    [[nodiscard]] std::string query(const std::string &from) const
    {
        std::string out = "?from=" + from;
        const json asked = body();
        for (const auto &[key, value] : asked.items())
            out += "&" + key + "=" + value.get<std::string>();
        return out;
    }
};

// All of them, which come in pages.
Result<json> all(Context &context, const Wanted &wanted)
{
    json out = json::array();
    for (std::string from = "0"; !from.empty();) {
        auto page = context.call("GET", "/v1/elb/connections" + wanted.query(from));
        if (!page)
            return page;
        for (auto &row : (*page)["connections"])
            out.push_back(std::move(row));
        from = page->contains("next") ? (*page)["next"].dump() : "";
    }
    return out;
}

void list(Context &context, const Wanted &wanted)
{
    auto connections = all(context, wanted);
    if (!connections)
        return context.fail(connections.error());
    context.print(*connections, [](const json &rows) {
        std::vector<std::vector<std::string>> out{
            {"PROTOCOL", "CLIENT", "SERVICE", "SOURCE", "BACKEND", "STATE", "SILENT"}};
        for (const auto &r : rows)
            out.push_back({r["protocol"], r["client"], r["service"], r.value("source", ""),
                           r["backend"], r["state"], r["silent_s"].dump() + " s"});
        return cli::table(out);
    });
}

// Of one client's port: to more than one service, maybe.
void show(Context &context, const std::string &text)
{
    auto client = Endpoint::parse(text);
    if (!client)
        return context.fail(client.error());
    auto connections = all(context, {"", "", client->address.text()});
    if (!connections)
        return context.fail(connections.error());
    json own = json::array();
    for (const auto &c : *connections)
        if (c["client"] == client->text())
            own.push_back(c);
    if (own.empty())
        return context.fail({.code = 0, .what = client->text() + " has no established connection"});
    context.print(own, [](const json &rows) {
        std::string out;
        for (const auto &row : rows)
            for (const auto &[key, value] : row.items())
                out += key + ": " + (value.is_string() ? value.get<std::string>() : value.dump()) +
                       "\n";
        return out;
    });
}

void flush(Context &context, const Wanted &wanted)
{
    auto reply = context.call("POST", "/v1/elb/connections/flush", wanted.body());
    if (!reply)
        return context.fail(reply.error());
    context.print(*reply,
                  [](const json &r) { return r["forgotten"].dump() + " connections forgotten\n"; });
}

void add_verb(CLI::App *conn, Context &context, const char *name, const char *help,
              void (*run)(Context &, const Wanted &))
{
    auto *verb = conn->add_subcommand(name, help);
    auto wanted = std::make_shared<Wanted>();
    verb->add_option("--service", wanted->service, "Only of this one, ADDRESS:PORT");
    verb->add_option("--backend", wanted->backend, "Only with this one, ADDRESS:PORT");
    verb->add_option("--client", wanted->client, "Only of this address");
    verb->callback([&context, wanted, run] { run(context, *wanted); });
}

} // namespace

void add_conn_verbs(CLI::App &elb, cli::Context &context)
{
    auto *conn = elb.add_subcommand("conn", "The established connections")->require_subcommand(1);
    add_verb(conn, context, "list", "Show them", list);
    auto *one = conn->add_subcommand("show", "Show those of a client's port");
    auto client = std::make_shared<std::string>();
    one->add_option("CLIENT", *client, "ADDRESS:PORT or [ADDRESS]:PORT")->required();
    one->callback([&context, client] { show(context, *client); });
    add_verb(conn, context, "flush",
             "Forget them: packets that still come are placed as those of new connections", flush);
}

} // namespace evnf::elb
