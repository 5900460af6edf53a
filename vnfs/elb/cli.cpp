// SPDX-License-Identifier: GPL-2.0-or-later
// evnf elb …
#include <memory>

#include "base/text.hpp"
#include "vnfs/elb/cli_conns.hpp"
#include "vnfs/elb/cli_import.hpp"
#include "vnfs/elb/cli_words.hpp"

namespace evnf::elb
{

namespace
{

using cli::Context;
using cli::json;

constexpr const char *examples =
    "Examples:\n"
    "  evnf elb service add tcp 192.0.2.10:80\n"
    "  evnf elb service add tcp 192.0.2.10:443 --forward source_nat --source 10.0.2.1\n"
    "  evnf elb backend add tcp 192.0.2.10:80 10.0.2.11:8080 weight 2\n"
    "  evnf elb service add udp 192.0.2.10:8000-8999\n"
    "  evnf elb backend add udp 192.0.2.10:8000-8999 10.0.2.11   # the port is kept\n"
    "  evnf elb backend set tcp 192.0.2.10:80 10.0.2.11:8080 weight 0   # no new connections\n"
    "  evnf elb backend drain tcp 192.0.2.10:80 10.0.2.11:8080 --deadline 600\n"
    "  evnf elb backend del tcp [2001:db8::10]:80 [2001:db8:2::11]:80\n"
    "Established connections keep their backend, whatever is changed or removed.";

Result<unsigned> check_weight(const Words &w, bool required)
{
    if (w.weight_word.empty() && !required)
        return 1U;
    if (w.weight_word != "weight" || w.weight.empty())
        return bad_input("after the backend comes: weight N");
    auto n = parse_number(w.weight, 0, 1000, "weight");
    if (!n)
        return n.error();
    return static_cast<unsigned>(*n);
}

void service_add(Context &context, const Words &w)
{
    auto e = check_service(w);
    if (!e)
        return context.fail(e.error());
    json body{
        {"address", e->first.text()}, {"port", e->second.to_json()}, {"protocol", w.protocol}};
    if (!w.forward.empty())
        body["forward"] = w.forward;
    if (!w.sources.empty())
        body["sources"] = w.sources;
    if (!w.source_ports.empty())
        body["source_ports"] = w.source_ports;
    auto reply = context.call("POST", "/v1/elb/services", body);
    if (!reply)
        return context.fail(reply.error());
    context.print(
        *reply, [](const json &r) { return "service " + r["service"].get<std::string>() + "\n"; });
}

void service_del(Context &context, const Words &w)
{
    if (auto e = check_service(w); !e)
        return context.fail(e.error());
    auto reply = context.call("DELETE", w.path());
    if (!reply)
        return context.fail(reply.error());
    context.print(*reply, [](const json &r) {
        return "removed service " + r["service"].get<std::string>() + "\n";
    });
}

std::string backend_line(const json &r)
{
    return r["service"].get<std::string>() + " -> " + r["backend"].get<std::string>() +
           (r.contains("weight") ? " weight " + std::to_string(r["weight"].get<unsigned>()) : "") +
           "\n";
}

void backend_add(Context &context, const Words &w)
{
    if (auto e = check_service(w); !e)
        return context.fail(e.error());
    auto backend = parse_backend(w.backend);
    if (!backend)
        return context.fail(backend.error());
    auto weight = check_weight(w, false);
    if (!weight)
        return context.fail(weight.error());
    json body{{"address", backend->address.text()}, {"weight", *weight}};
    if (backend->port)
        body["port"] = backend->port;
    auto reply = context.call("POST", w.path() + "/backends", body);
    if (!reply)
        return context.fail(reply.error());
    context.print(*reply, [](const json &r) { return "backend " + backend_line(r); });
}

void backend_set(Context &context, const Words &w)
{
    if (auto e = check_service(w); !e)
        return context.fail(e.error());
    if (auto backend = parse_backend(w.backend); !backend)
        return context.fail(backend.error());
    auto weight = check_weight(w, true);
    if (!weight)
        return context.fail(weight.error());
    auto reply = context.call("PUT", w.path() + "/backends/" + w.backend, {{"weight", *weight}});
    if (!reply)
        return context.fail(reply.error());
    context.print(*reply, [](const json &r) { return "backend " + backend_line(r); });
}

void backend_del(Context &context, const Words &w)
{
    if (auto e = check_service(w); !e)
        return context.fail(e.error());
    if (auto backend = parse_backend(w.backend); !backend)
        return context.fail(backend.error());
    auto reply = context.call("DELETE", w.path() + "/backends/" + w.backend);
    if (!reply)
        return context.fail(reply.error());
    context.print(*reply, [](const json &r) { return "removed backend " + backend_line(r); });
}

using Verb = void (*)(Context &, const Words &);

std::shared_ptr<Words> add_verb(CLI::App *parent, Context &context, const char *name,
                                const char *help, bool backend, bool weight, Verb run)
{
    auto *verb = parent->add_subcommand(name, help);
    auto words = add_words(verb, backend);
    if (weight) {
        verb->add_option("weight", words->weight_word, "The word 'weight'");
        verb->add_option("N", words->weight, "0 to 1000; shares of new connections go by it");
    }
    verb->callback([&context, words, run] { run(context, *words); });
    return words;
}

void add_forwarding(CLI::App *verb, Words &words)
{
    verb->add_option("--forward", words.forward,
                     "How packets get to the backends: nat, source_nat, tunnel or direct");
    verb->add_option("--source", words.sources, "An address that backends see; up to eight");
    verb->add_option("--source-ports", words.source_ports, "FIRST-LAST, of source NAT");
}

void add_verbs(CLI::App &app, Context &context)
{
    auto *elb = app.add_subcommand("elb", "The load balancer")->require_subcommand(1);
    auto *service = elb->add_subcommand("service", "Its services")->require_subcommand(1);
    auto words = add_verb(service, context, "add", "Add a service", false, false, service_add);
    add_forwarding(service->get_subcommand("add"), *words);
    add_verb(service, context, "del", "Remove a service", false, false, service_del);
    add_service_set_verb(service, context);
    auto *backend =
        elb->add_subcommand("backend", "The servers of a service")->require_subcommand(1);
    add_verb(backend, context, "add", "Add a backend", true, true, backend_add);
    add_verb(backend, context, "set", "Change a backend's weight", true, true, backend_set);
    add_verb(backend, context, "del", "Remove a backend", true, false, backend_del);
    add_list_verbs(elb, service, backend, context);
    add_conn_verbs(*elb, context);
    add_import_verb(*elb, context);
    add_watching_verbs(elb, backend, context);
}

const cli::VerbsRegistration registration({"elb", add_verbs});

} // namespace

Result<std::pair<Address, Ports>> check_service(const Words &w)
{
    if (w.protocol != "tcp" && w.protocol != "udp" && w.protocol != "sctp")
        return bad_input(in_quotes(w.protocol) + " cannot be balanced: tcp, udp or sctp");
    return parse_service(w.service);
}

std::shared_ptr<Words> add_words(CLI::App *verb, bool backend)
{
    auto words = std::make_shared<Words>();
    verb->add_option("PROTOCOL", words->protocol, "tcp, udp or sctp")->required();
    verb->add_option("SERVICE", words->service,
                     "ADDRESS:PORT or [ADDRESS]:PORT; also ports: 80,443, 8000-8999, all")
        ->required();
    if (backend)
        verb->add_option("BACKEND", words->backend,
                         "ADDRESS:PORT or [ADDRESS]:PORT; without port: that of the service")
            ->required();
    verb->footer(examples);
    return words;
}

} // namespace evnf::elb
