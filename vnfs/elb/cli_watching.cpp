// SPDX-License-Identifier: GPL-2.0-or-later
// evnf elb health show, feedback show, timeouts show, backend drain and undrain.
#include <cstdio>
#include <ctime>

#include "vnfs/elb/cli_words.hpp"

namespace evnf::elb
{

namespace
{

using cli::Context;
using cli::json;

std::string number(const json &n)
{
    char out[32];
    std::snprintf(out, sizeof out, "%g", n.get<double>());
    return out;
}

std::string optional_number(const json &row, const char *key)
{
    return row.contains(key) ? number(row[key]) : "-";
}

std::string state(const json &row)
{
    std::string out = row["state"];
    if (row.contains("drain") && row["drain"].contains("deadline") && out == "draining")
        out += ", " + span_text(row["drain"]["deadline"]) + " left";
    if (out == "starting")
        out += ", " + number(row["ramp"].get<double>() * 100) + "%";
    return out;
}

std::string health_text(const json &services)
{
    std::string notes;
    std::vector<std::vector<std::string>> rows{{"SERVICE", "BACKEND", "CHECK", "STATE", "SINCE",
                                                "WEIGHT", "EFFECTIVE", "CHECKS", "FAILED", "LAST"}};
    for (const auto &s : services) {
        const std::string name = s["service"];
        if (s["panics"])
            notes += name + ": too few backends are up, so all are taken for up\n";
        if (s["on_backups"])
            notes += name + ": no backend is up but backups\n";
        for (const auto &b : s["backends"])
            rows.push_back({name, b["backend"].get<std::string>() + (b["backup"] ? " backup" : ""),
                            b["check"], state(b), b.contains("since") ? span_text(b["since"]) : "-",
                            number(b["weight"]), number(b["effective"]), number(b["checks"]),
                            number(b["failed"]),
                            b.contains("last") ? b["last"]["text"].get<std::string>() : "-"});
    }
    return cli::table(rows) + notes;
}

std::string feedback_text(const json &services)
{
    std::vector<std::vector<std::string>> rows{{"SERVICE", "BACKEND", "INDICES", "AGGREGATE",
                                                "BEFORE", "AFTER", "EFFECTIVE", "STATE", "AGE"}};
    std::string errors;
    for (const auto &s : services)
        for (const auto &b : s["backends"]) {
            std::string indices;
            for (const auto &i : b["indices"])
                indices += (indices.empty() ? "" : ", ") + i["name"].get<std::string>() + " " +
                           optional_number(i, "load");
            rows.push_back({s["service"], b["backend"], indices, optional_number(b, "aggregate"),
                            number(b["before"]), number(b["after"]), number(b["effective"]),
                            b["state"],
                            b.contains("measured") ? span_text(b["measured"]) : std::string("-")});
            if (b.contains("error"))
                errors += s["service"].get<std::string>() + " " + b["backend"].get<std::string>() +
                          ": " + b["error"].get<std::string>() + "\n";
        }
    return cli::table(rows) + errors;
}

void show(Context &context, const std::string &what, std::string (*human)(const json &))
{
    auto reply = context.call("GET", "/v1/elb/" + what);
    if (!reply)
        return context.fail(reply.error());
    context.print(*reply, human);
}

// Of all services, and of those that have their own.
void show_timeouts(Context &context)
{
    auto reply = context.call("GET", "/v1/elb");
    if (!reply)
        return context.fail(reply.error());
    json all = json::array();
    if (reply->contains("timeouts"))
        all.push_back({{"service", "all"}, {"timeouts", (*reply)["timeouts"]}});
    for (const auto &s : (*reply)["service"])
        if (s.contains("timeouts"))
            all.push_back({{"service", service_text(s)}, {"timeouts", s["timeouts"]}});
    context.print(all, [](const json &services) {
        std::vector<std::vector<std::string>> rows{{"SERVICE", "TIMEOUT", "SECONDS"}};
        for (const auto &s : services)
            for (const auto &[name, seconds] : s["timeouts"].items())
                rows.push_back({s["service"], name, seconds.dump()});
        return cli::table(rows);
    });
}

void drain(Context &context, const Words &w, const char *method, unsigned deadline, bool resets)
{
    if (auto e = check_service(w); !e)
        return context.fail(e.error());
    if (auto backend = Endpoint::parse(w.backend); !backend)
        return context.fail(backend.error());
    json body = json::object();
    if (deadline)
        body["deadline"] = deadline;
    if (resets)
        body["reset"] = true;
    auto reply = context.call(method, w.path() + "/backends/" + w.backend + "/drain", body);
    if (!reply)
        return context.fail(reply.error());
    const std::string done = std::string(method) == "PUT" ? "draining" : "no more draining";
    context.print(*reply, [done](const json &r) {
        return done + " " + r["service"].get<std::string>() + " -> " +
               r["backend"].get<std::string>() +
               (r.contains("deadline") ? " for " + number(r["deadline"]) + " s" : "") +
               (r.contains("reset") ? ", then what is left is reset\n" : "\n");
    });
}

} // namespace

std::string span_text(const json &epoch)
{
    const auto seconds = std::labs(std::time(nullptr) - epoch.get<std::time_t>());
    if (seconds < 120)
        return std::to_string(seconds) + "s";
    if (seconds < 7200)
        return std::to_string(seconds / 60) + "m";
    return std::to_string(seconds / 3600) + "h";
}

void add_watching_verbs(CLI::App *elb, CLI::App *backend, Context &context)
{
    auto *drains =
        backend->add_subcommand("drain", "Give a backend no new connections, and keep its old");
    auto words = add_words(drains, true);
    auto deadline = std::make_shared<unsigned>(0);
    drains
        ->add_option("--deadline", *deadline,
                     "Seconds until it counts as drained, whatever connections are left")
        ->check(CLI::Range(1, 7 * 24 * 3600));
    auto resets = std::make_shared<bool>(false);
    drains->add_flag("--reset", *resets, "At the deadline, reset the connections that are left");
    drains->callback(
        [&context, words, deadline, resets] { drain(context, *words, "PUT", *deadline, *resets); });
    auto *undrains = backend->add_subcommand("undrain", "Give a backend new connections again");
    auto whose = add_words(undrains, true);
    undrains->callback([&context, whose] { drain(context, *whose, "DELETE", 0, false); });

    auto *health = elb->add_subcommand("health", "Health of the backends")->require_subcommand(1);
    health->add_subcommand("show", "Show the backends' states, and what the last check said")
        ->callback([&context] { show(context, "health", health_text); });
    auto *feedback =
        elb->add_subcommand("feedback", "Weights that follow load")->require_subcommand(1);
    feedback->add_subcommand("show", "Show the backends' load, and their weights before and after")
        ->callback([&context] { show(context, "feedback", feedback_text); });
    add_settings_verbs(health, "health", true, context);
    add_settings_verbs(feedback, "feedback", true, context);
    auto *timeouts = elb->add_subcommand("timeouts", "How long connections may be silent")
                         ->require_subcommand(1);
    timeouts->add_subcommand("show", "Show the time-outs, by the state of a connection")
        ->callback([&context] { show_timeouts(context); });
    add_settings_verbs(timeouts, "timeouts", false, context);
}

} // namespace evnf::elb
