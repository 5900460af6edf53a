// SPDX-License-Identifier: GPL-2.0-or-later
// evnf: the command line. A client of the control API and of nothing else.
#include <cstdio>
#include <iostream>

#include "client.hpp"
#include "completion.hpp"
#include "config/toml.hpp"
#include "plan.hpp"
#include "views.hpp"
#include "vnfs/cli.hpp"
#include "watch.hpp"

namespace evnf::cli
{

namespace
{

enum Exit { ok = 0, failed = 1, wrong_input = 2 };

class Session : public Context
{
public:
    bool as_json = false;
    std::string name;
    std::string run_dir = "/run/evnf";
    std::string instance;
    int exit_code = ok;

    Result<json> call(const std::string &method, const std::string &path, const json &body) override
    {
        auto socket = find_socket(run_dir, name);
        if (!socket)
            return socket.error();
        // Of a VNF's verbs: which of its instances.
        const std::string which = instance.empty() ? "" : "?instance=" + instance;
        return call_api(*socket, method, path + which, body);
    }

    void print(const json &value, const std::function<std::string(const json &)> &human) override
    {
        std::cout << (as_json ? value.dump(2) + "\n" : human(value));
    }

    void fail(const Error &error, const std::string &input) override
    {
        std::string message = error.what;
        if (!as_json && error.length && !input.empty())
            message += "\n" + config::underline(input, error.offset, error.length);
        report(error, message);
    }

    // An error whose message shows its place already.
    void report(const Error &error, const std::string &message)
    {
        exit_code = error.code == 0 ? wrong_input : failed;
        if (as_json)
            std::cerr << json{{"error", message}}.dump() + "\n";
        else
            std::cerr << "evnf: " + message + "\n";
    }
};

void apply_file(Session &session, const std::string &path, bool dry_run)
{
    auto file = config::read_toml_file(path);
    if (!file)
        return session.report(file.error(), file.error().message());
    auto reply =
        session.call("PUT", dry_run ? "/v1/config?dry_run=true" : "/v1/config", file->value);
    if (!reply && !reply.error().where.empty())
        return session.report(reply.error(), config::explain(*file, reply.error()));
    if (!reply)
        return session.fail(reply.error(), "");
    session.print(*reply, changes_view);
}

void show(Session &session, const std::string &path, std::string (*view)(const json &))
{
    auto reply = session.call("GET", path, nullptr);
    if (!reply)
        return session.fail(reply.error(), "");
    session.print(*reply, view);
}

void add_commands(CLI::App &app, Session &session)
{
    app.add_subcommand("status", "The daemon and what it is attached to")->callback([&] {
        show(session, "/v1/status", status_view);
    });
    auto *chain = app.add_subcommand("chain", "The chains")->require_subcommand(1);
    chain->add_subcommand("show", "Each chain's stages, with packets by verdict and reason")
        ->callback([&] { show(session, "/v1/chains", chains_view); });
    add_plan_command(*chain, session);
    app.add_subcommand("counters", "All counters of the fast path")->callback([&] {
        show(session, "/v1/counters", counters_view);
    });

    auto *apply = app.add_subcommand("apply", "Make a configuration file the desired state");
    auto path = std::make_shared<std::string>();
    auto dry_run = std::make_shared<bool>(false);
    apply->add_option("FILE", *path, "A TOML file")->required();
    apply->add_flag("--dry-run", *dry_run, "Only show what would change");
    apply->footer("The file is the whole desired state: rules that it does not have are removed.\n"
                  "All of it comes into force, for each packet at once, or nothing does.");
    apply->callback([&session, path, dry_run] { apply_file(session, *path, *dry_run); });

    auto *completion = app.add_subcommand("completion", "Completion for shells");
    completion->require_subcommand(1);
    completion->add_subcommand("bash", "Print the script: source <(evnf completion bash)")
        ->callback([] { std::cout << completion_script(); });
    auto *words = completion->add_subcommand("words", "What may follow the given words");
    words->group(""); // for the script, not for people
    auto typed = std::make_shared<std::vector<std::string>>();
    words->add_option("WORD", *typed);
    words->callback([&app, typed] {
        for (const auto &word : complete(app, *typed))
            std::cout << word << "\n";
    });

    add_watch_commands(app,
                       {[&] { return session.as_json; },
                        [&] { return find_socket(session.run_dir, session.name); },
                        [&](const Error &e, const std::string &input) { session.fail(e, input); }});
    for (const auto &verbs : all_verbs())
        verbs.add(app, session);
}

// What was typed that is no command, or what could have come next.
std::string usage_error(const CLI::App &app, const CLI::ParseError &e)
{
    const CLI::App *at = &app;
    while (!at->get_subcommands().empty())
        at = at->get_subcommands().front();
    std::string next;
    for (const auto *sub : at->get_subcommands([](const CLI::App *) { return true; }))
        if (!sub->get_group().empty())
            next += (next.empty() ? "" : ", ") + sub->get_name();
    if (next.empty())
        return std::string(e.what()) + "\nRun evnf with --help after the command for more.";
    const auto extras = app.remaining(true);
    const std::string what =
        extras.empty() ? "'" + at->get_name() + "' needs a command"
                       : "'" + extras.front() + "' is not a command of '" + at->get_name() + "'";
    return what + ": " + next;
}

int run(int argc, char **argv)
{
    Session session;
    CLI::App app{"evnf: steers the VNFs of an evnfd", "evnf"};
    app.set_version_flag("--version", EVNF_VERSION);
    app.add_flag("--json", session.as_json, "Print JSON");
    app.add_option("-n,--name", session.name, "Which evnfd; not needed if only one runs");
    app.add_option("-i,--instance", session.instance,
                   "Which instance of the VNF; not needed for the one that has its name");
    app.add_option("--run-dir", session.run_dir, "Where its socket is")->capture_default_str();
    app.require_subcommand(1);
    app.fallthrough(); // global options may stand anywhere
    add_commands(app, session);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError &e) {
        if (e.get_exit_code() == 0) // --help, --version
            return app.exit(e);
        std::cerr << "evnf: " + usage_error(app, e) + "\n";
        return wrong_input;
    }
    return session.exit_code;
}

} // namespace

} // namespace evnf::cli

int main(int argc, char **argv)
{
    return evnf::cli::run(argc, argv);
}
