// SPDX-License-Identifier: GPL-2.0-or-later
// evnf elb health, feedback and timeouts: set and clear. evnf elb service set.
#include <algorithm>
#include <memory>

#include "base/text.hpp"
#include "vnfs/elb/cli_words.hpp"

namespace evnf::elb
{

namespace
{

using cli::Context;
using cli::json;

constexpr const char *examples =
    "Examples:\n"
    "  evnf elb health set interval=1                                # what counts for all\n"
    "  evnf elb health set tcp 192.0.2.10:80 type=http path=/ready 'status=[200, 204]'\n"
    "  evnf elb health set tcp 192.0.2.10:80 10.0.2.11:8080 port=8081 path=\n"
    "  evnf elb feedback set tcp 192.0.2.10:80 'indices=[{\"preset\": \"cpu\"}]'\n"
    "  evnf elb timeouts set tcp 192.0.2.10:80 tcp_established=3600 fin_wait=120\n"
    "A value is JSON, or else a word; nothing after = removes the key. docs/elb.md has the keys.";

// The level: no words, PROTOCOL SERVICE, or these and BACKEND.
Result<json> level_of(const std::vector<std::string> &words)
{
    json out = json::object();
    if (words.empty())
        return out;
    if (words.size() == 1 || words.size() > 3)
        return bad_input(
            "what is meant is PROTOCOL SERVICE, with a BACKEND maybe, or nothing: all");
    Words named;
    named.protocol = words[0];
    named.service = words[1];
    auto service = check_service(named);
    if (!service)
        return service.error();
    out["service"] = words[0] + " " + service_text(service->first, service->second);
    if (words.size() < 3)
        return out;
    auto backend = parse_backend(words[2]);
    if (!backend)
        return backend.error();
    out["backend"] = backend->text();
    return out;
}

json value_of(const std::string &text)
{
    if (text.empty())
        return nullptr;
    const json value = json::parse(text, nullptr, false);
    return value.is_discarded() ? json(text) : value;
}

void send(Context &context, const std::string &table, const Result<json> &body)
{
    if (!body)
        return context.fail(body.error());
    auto reply = context.call("PUT", "/v1/elb/settings", *body);
    if (!reply)
        return context.fail(reply.error());
    context.print(*reply, [&](const json &r) {
        std::string whose = r.value("service", "all services");
        if (r.contains("backend"))
            whose += " -> " + r["backend"].get<std::string>();
        return table + " of " + whose + ": " + r[table].dump() + "\n";
    });
}

bool is_setting(const std::string &word)
{
    return word.find('=') != word.npos;
}

using Word = std::vector<std::string>::const_iterator;

// KEY=VALUE …
Result<json> settings_of(Word first, Word end)
{
    if (first == end || !std::all_of(first, end, is_setting))
        return bad_input("the last words are settings: KEY=VALUE …");
    json out = json::object();
    for (auto w = first; w != end; ++w) {
        const auto equals = w->find('=');
        out[w->substr(0, equals)] = value_of(w->substr(equals + 1));
    }
    return out;
}

void set(Context &context, const std::string &table, const std::vector<std::string> &words)
{
    const auto first = std::find_if(words.begin(), words.end(), is_setting);
    const auto settings = settings_of(first, words.end());
    if (!settings)
        return context.fail(settings.error());
    auto body = level_of({words.begin(), first});
    if (body)
        (*body)[table] = *settings;
    send(context, table, body);
}

// How a service chooses.
void set_service(Context &context, const std::vector<std::string> &words)
{
    if (words.size() < 3)
        return context.fail(bad_input("what is meant is PROTOCOL SERVICE KEY=VALUE …"));
    if (auto level = level_of({words[0], words[1]}); !level)
        return context.fail(level.error());
    const auto body = settings_of(words.begin() + 2, words.end());
    if (!body)
        return context.fail(body.error());
    auto reply = context.call("PUT", "/v1/elb/services/" + words[0] + "/" + words[1], *body);
    if (!reply)
        return context.fail(reply.error());
    context.print(*reply, [](const json &r) {
        std::string out = "service " + r["service"].get<std::string>() + ":";
        for (const auto &[key, value] : r.items())
            if (key != "service")
                out +=
                    " " + key + "=" + (value.is_string() ? value.get<std::string>() : value.dump());
        return out + "\n";
    });
}

void clear(Context &context, const std::string &table, const std::vector<std::string> &words)
{
    auto body = level_of(words);
    if (body)
        (*body)[table] = nullptr;
    send(context, table, body);
}

void add_verb(CLI::App *parent, Context &context, const std::string &table, const char *name,
              const char *help, const char *what,
              void (*run)(Context &, const std::string &, const std::vector<std::string> &))
{
    auto *verb = parent->add_subcommand(name, help);
    auto words = std::make_shared<std::vector<std::string>>();
    verb->add_option("WORDS", *words, what);
    verb->footer(examples);
    verb->callback([&context, table, words, run] { run(context, table, *words); });
}

} // namespace

void add_service_set_verb(CLI::App *service, Context &context)
{
    auto *verb = service->add_subcommand("set", "Change how a service chooses its backends");
    auto words = std::make_shared<std::vector<std::string>>();
    verb->add_option("WORDS", *words, "PROTOCOL SERVICE KEY=VALUE …");
    verb->footer("Examples:\n"
                 "  evnf elb service set tcp 192.0.2.10:80 balance=least_connections\n"
                 "  evnf elb service set tcp 192.0.2.10:80 affinity=source affinity_prefix=24 "
                 "affinity_timeout=600\n"
                 "  evnf elb service set tcp 192.0.2.10:80 balance=   # by weights alone again\n"
                 "Established connections keep their backend. docs/elb.md has the keys.");
    verb->callback([&context, words] { set_service(context, *words); });
}

void add_settings_verbs(CLI::App *parent, const std::string &table, bool of_backends,
                        Context &context)
{
    const char *set_words =
        of_backends ? "[PROTOCOL SERVICE [BACKEND]] KEY=VALUE …" : "[PROTOCOL SERVICE] KEY=VALUE …";
    const char *clear_words = of_backends ? "[PROTOCOL SERVICE [BACKEND]]" : "[PROTOCOL SERVICE]";
    add_verb(parent, context, table, "set", "Change settings of all, or of one of these", set_words,
             set);
    add_verb(parent, context, table, "clear", "Remove all settings of one of these", clear_words,
             clear);
}

} // namespace evnf::elb
