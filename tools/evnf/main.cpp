// SPDX-License-Identifier: GPL-2.0-or-later
// evnf: the command line. A client of the control API and of nothing else, but for preflight,
// which is for before there is one.
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <optional>

#include "cli/manual.hpp"
#include "client.hpp"
#include "completion.hpp"
#include "config/toml.hpp"
#include "plan.hpp"
#include "preflight.hpp"
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
        return call_api(*socket, method, with_instance(path), body);
    }

    void follow(const std::string &path, std::size_t count,
                const std::function<std::string(const json &)> &human) override
    {
        auto socket = find_socket(run_dir, name);
        if (!socket)
            return fail(socket.error(), "");
        std::size_t printed = 0;
        const auto take = [&](const json &line) {
            if (line.contains("lost")) {
                std::cerr << (as_json ? line.dump()
                                      : "evnf: " + line["lost"].dump() +
                                            " lines were lost so far: they come faster than "
                                            "they are read")
                          << "\n";
                return true;
            }
            std::cout << (as_json ? line.dump() : human(line)) << std::endl;
            return count == 0 || ++printed < count;
        };
        if (auto r = stream_api(*socket, with_instance(path), take); !r)
            fail(r.error(), "");
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

    void conclude(int code) override { exit_code = code; }

    // An error whose message shows its place already.
    void report(const Error &error, const std::string &message)
    {
        exit_code = error.code == 0 ? wrong_input : failed;
        if (as_json)
            std::cerr << json{{"error", message}}.dump() + "\n";
        else
            std::cerr << "evnf: " + message + "\n";
    }

private:
    // Of a VNF's verbs: which of its instances.
    [[nodiscard]] std::string with_instance(const std::string &path) const
    {
        const std::string sign = path.find('?') == path.npos ? "?" : "&";
        return path + (instance.empty() ? "" : sign + "instance=" + instance);
    }
};

constexpr const char *dry_run_help = "Only show what would change";

std::string with_dry_run(const std::string &path, bool dry_run)
{
    return dry_run ? path + "?dry_run=true" : path;
}

std::string joined(const std::vector<std::string> &words)
{
    std::string out;
    for (const auto &word : words)
        out += (out.empty() ? "" : " ") + word;
    return out;
}

struct SetChain {
    std::string name;
    std::vector<std::string> path; // its words
    std::string request;
    bool generic = false;
    bool dry_run = false;
};

// What VNFs have to do once the file is applied.
Result<std::vector<Call>> calls_after(const json &file)
{
    std::vector<Call> out;
    for (const auto &[name, section] : file.items())
        for (const auto &verbs : all_verbs()) {
            if (!verbs.apply || !section.is_object() ||
                section.value("vnf", json(name)) != verbs.vnf)
                continue;
            auto calls = verbs.apply(section);
            if (!calls)
                return calls;
            for (auto &call : *calls) {
                call.path += "?instance=" + encoded(name);
                out.push_back(std::move(call));
            }
        }
    return out;
}

// Gives the file to the daemon; null if that failed and was reported.
json put_file(Session &session, const std::string &path, bool dry_run)
{
    auto file = config::read_toml_file(path);
    if (!file) {
        session.report(file.error(), file.error().message());
        return nullptr;
    }
    auto calls = calls_after(file->value);
    if (!calls) {
        session.report(calls.error(), calls.error().message());
        return nullptr;
    }
    auto reply = session.call("PUT", with_dry_run("/v1/config", dry_run), file->value);
    for (const auto &[method, where, body] : *calls)
        if (reply && !dry_run)
            if (auto r = session.call(method, where, body); !r) {
                session.report(r.error(),
                               "applied, but not all that goes with it: " + r.error().message());
                return nullptr;
            }
    if (reply)
        return *reply;
    if (reply.error().where.empty())
        session.fail(reply.error(), "");
    else
        session.report(reply.error(), config::explain(*file, reply.error()));
    return nullptr;
}

void apply_file(Session &session, const std::string &path, bool dry_run)
{
    if (const json reply = put_file(session, path, dry_run); !reply.is_null())
        session.print(reply, changes_view);
}

// Gives one chain as text to the daemon; null if that failed and was reported.
json put_chain(Session &session, const std::string &name, const std::string &path, bool generic,
               bool dry_run)
{
    auto reply = session.call("PUT", with_dry_run("/v1/chains/" + encoded(name), dry_run),
                              {{"path", path}, {"xdp", generic ? "generic" : "native"}});
    if (reply)
        return *reply;
    Error e = reply.error();
    if (e.where != "/path")
        e.length = 0; // the word is in no text that was typed here
    else if (e.offset > 0 && e.offset == path.size())
        e.length = 1; // what is missing is missing at the end
    session.fail(e, path);
    return nullptr;
}

// The same for a service-chain request in a file.
json put_request(Session &session, const std::string &name, const std::string &path, bool generic,
                 bool dry_run)
{
    std::ifstream in(path);
    const json request = json::parse(in, nullptr, false);
    Error e = in.is_open() ? bad_input(path + " is not a JSON object") : sys_error("read " + path);
    if (in.is_open() && request.is_object()) {
        json body = request;
        if (generic)
            body["xdp"] = "generic";
        auto reply =
            session.call("PUT", with_dry_run("/v1/chains/" + encoded(name), dry_run), body);
        if (reply)
            return *reply;
        e = reply.error();
        if (!e.where.empty())
            e.what = path + ": at " + e.where + ": " + e.what;
    }
    session.report(e, e.message());
    return nullptr;
}

void set_chain(Session &session, const SetChain &given)
{
    if (given.path.empty() == given.request.empty())
        return session.fail(bad_input("a chain is set to a PATH, such as 'in(eth0) -> efw -> out', "
                                      "or by --request FILE"),
                            "");
    const auto &[name, path, request, generic, dry_run] = given;
    const json reply = path.empty() ? put_request(session, name, request, generic, dry_run)
                                    : put_chain(session, name, joined(path), generic, dry_run);
    if (!reply.is_null())
        session.print(reply, changes_view);
}

void change(Session &session, const std::string &method, const std::string &path, bool dry_run,
            const json &body)
{
    auto reply = session.call(method, with_dry_run(path, dry_run), body);
    if (!reply)
        return session.fail(reply.error(), "");
    session.print(*reply, changes_view);
}

void check(Session &session, const std::string &file, const std::string &path)
{
    if (file.empty() == path.empty())
        return session.fail(bad_input("what is checked is a FILE, or one chain by --path PATH"),
                            "");
    const json reply = path.empty() ? put_file(session, file, true)
                                    : put_chain(session, "check", path, false, true);
    if (!reply.is_null())
        session.print({{"checked", path.empty() ? file : path}, {"good", true}}, good_view);
}

void show(Session &session, const std::string &path, std::string (*view)(const json &))
{
    auto reply = session.call("GET", path, nullptr);
    if (!reply)
        return session.fail(reply.error(), "");
    session.print(*reply, view);
}

void add_chain_changes(CLI::App &chain, Session &session)
{
    auto *set = chain.add_subcommand("set", "Make one chain, or another of it");
    auto wanted = std::make_shared<SetChain>();
    set->add_option("NAME", wanted->name, "The chain's name")->required();
    set->add_option("PATH", wanted->path, "Where packets go");
    set->add_option("--request", wanted->request, "A service-chain request instead: a JSON file");
    set->add_flag("--generic", wanted->generic, "XDP in the kernel's generic mode");
    set->add_flag("--dry-run", wanted->dry_run, dry_run_help);
    set->footer("Examples:\n"
                "  evnf chain set in 'in(eth0) -> efw -> elb -> out'\n"
                "  evnf chain set in 'in(eth0) -> { tcp dport 80 -> elb -> out; otherwise -> host "
                "}'\n"
                "The other chains and all rules stay as they are.");
    set->callback([&session, wanted] { set_chain(session, *wanted); });

    auto *del = chain.add_subcommand("del", "Take one chain off its interfaces");
    auto name = std::make_shared<std::string>();
    auto dry_run = std::make_shared<bool>(false);
    del->add_option("NAME", *name, "The chain's name")->required();
    del->add_flag("--dry-run", *dry_run, dry_run_help);
    del->callback([&session, name, dry_run] {
        change(session, "DELETE", "/v1/chains/" + encoded(*name), *dry_run, nullptr);
    });

    auto *rollback = chain.add_subcommand("rollback", "Go back to the state after a change");
    auto to = std::make_shared<std::optional<std::uint64_t>>();
    auto try_it = std::make_shared<bool>(false);
    rollback->add_option("N", *to, "Its number in 'evnf chain history'; the last but one, if none");
    rollback->add_flag("--dry-run", *try_it, dry_run_help);
    rollback->footer("Chains and rules come back as they were after change N; that is a change\n"
                     "too, which can be rolled back.");
    rollback->callback([&session, to, try_it] {
        change(session, "POST", "/v1/rollback", *try_it, *to ? json{{"to", **to}} : json::object());
    });
}

void add_chain_commands(CLI::App &app, Session &session)
{
    auto *chain = app.add_subcommand("chain", "The chains")->require_subcommand(1);
    chain->add_subcommand("show", "Each chain's stages, with packets by verdict and reason")
        ->callback([&] { show(session, "/v1/chains", chains_view); });
    add_plan_command(*chain, session);
    add_chain_changes(*chain, session);
    chain->add_subcommand("history", "The last changes of chains and rules")->callback([&] {
        show(session, "/v1/history", history_view);
    });
    auto *checks = chain->add_subcommand("check", "Whether a configuration is good");
    auto file = std::make_shared<std::string>();
    auto path = std::make_shared<std::string>();
    checks->add_option("FILE", *file, "A TOML file, as for apply");
    checks->add_option("--path", *path, "One chain instead, beside those that run");
    checks->footer("Nothing is changed. To check another form of a chain that runs:\n"
                   "  evnf chain set NAME PATH --dry-run");
    checks->callback([&session, file, path] { check(session, *file, *path); });
}

void print_manual(Session &session, const CLI::App &app, const std::string &page)
{
    if (page.empty())
        for (const auto &name : manual_pages(app))
            std::cout << name << "\n";
    else if (const auto text = manual_page(app, page, "1"); !text.empty())
        std::cout << text;
    else
        session.fail(bad_input("there is no page '" + page + "'"), "");
}

void add_commands(CLI::App &app, Session &session)
{
    app.add_subcommand("status", "The daemon and what it is attached to")->callback([&] {
        show(session, "/v1/status", status_view);
    });
    add_chain_commands(app, session);
    app.add_subcommand("counters", "All counters of the fast path")->callback([&] {
        show(session, "/v1/counters", counters_view);
    });

    auto *apply = app.add_subcommand("apply", "Make a configuration file the desired state");
    auto path = std::make_shared<std::string>();
    auto dry_run = std::make_shared<bool>(false);
    apply->add_option("FILE", *path, "A TOML file")->required();
    apply->add_flag("--dry-run", *dry_run, dry_run_help);
    apply->footer("The file is the whole desired state: rules that it does not have are removed.\n"
                  "All of it comes into force, for each packet at once, or nothing does.");
    apply->callback([&session, path, dry_run] { apply_file(session, *path, *dry_run); });

    add_preflight_command(app, session);

    auto *completion = app.add_subcommand("completion", "Completion for shells");
    completion->require_subcommand(1);
    completion->add_subcommand("bash", "Print the script: source <(evnf completion bash)")
        ->callback([] { std::cout << bash_completion(); });
    completion->add_subcommand("zsh", "Print the script: source <(evnf completion zsh)")
        ->callback([] { std::cout << zsh_completion(); });
    auto *words = completion->add_subcommand("words", "What may follow the given words");
    words->group(""); // for the script, not for people
    auto typed = std::make_shared<std::vector<std::string>>();
    words->add_option("WORD", *typed);
    words->callback([&app, typed] {
        for (const auto &word : complete(app, *typed))
            std::cout << word << "\n";
    });

    auto *manual = app.add_subcommand("manual", "A page for man; without a name, which there are");
    manual->group(""); // for the build
    auto page = std::make_shared<std::string>();
    manual->add_option("PAGE", *page);
    manual->callback([&session, &app, page] { print_manual(session, app, *page); });

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

// As CLI11 takes them, the last first. "->" is no option, but a word of a chain.
std::vector<std::string> arguments(int argc, char **argv)
{
    std::vector<std::string> out;
    for (int i = 1; i < argc; ++i) {
        const std::string word = argv[i];
        if (word.starts_with("->") && !out.empty())
            out.back() += " " + word;
        else
            out.push_back(word);
    }
    std::reverse(out.begin(), out.end());
    return out;
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
        app.parse(arguments(argc, argv));
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
