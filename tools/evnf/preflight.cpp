// SPDX-License-Identifier: GPL-2.0-or-later
#include "preflight.hpp"

#include <algorithm>
#include <sstream>

#include "config/toml.hpp"
#include "daemon/document.hpp"
#include "tools/preflight/gather.hpp"
#include "tools/preflight/judge.hpp"
#include "tools/preflight/mend.hpp"
#include "tools/preflight/trial.hpp"

namespace evnf::cli
{

namespace
{

using preflight::Facts;
using preflight::Finding;
using preflight::Level;
using preflight::Mended;

constexpr int failed = 1;
constexpr const char *pin_root = "/sys/fs/bpf/evnf";

struct Given {
    std::vector<std::string> interfaces;
    std::string config;
    std::string path;
    bool generic = false;
    bool fix = false;
};

// The checked document that is planned; null for none. An error shows its place already.
Result<json> planned(const Given &given)
{
    if (given.config.empty() && given.path.empty())
        return json();
    if (!given.config.empty() && !given.path.empty())
        return bad_input("what is planned is a --config FILE, or one chain by --path PATH");
    if (given.config.empty()) {
        const json chain{{"name", "preflight"},
                         {"path", given.path},
                         {"xdp", given.generic ? "generic" : "native"}};
        auto document = check_document({{"chain", {chain}}}, nullptr);
        if (document)
            return document;
        Error e = document.error();
        if (e.length == 0 && e.offset == given.path.size() && e.offset > 0)
            e.length = 1; // what is missing is missing at the end
        return e;
    }
    if (given.generic)
        return bad_input("--generic is for --path: in a file, a chain has xdp = \"generic\"");
    auto file = config::read_toml_file(given.config);
    if (!file)
        return file.error();
    auto document = check_document(file->value, nullptr);
    if (!document && !document.error().where.empty())
        return bad_input(config::explain(*file, document.error()));
    return document;
}

std::vector<std::string> interfaces_of(const Facts &facts, const Given &given)
{
    std::vector<std::string> out;
    const auto add = [&](const std::string &name) {
        if (std::find(out.begin(), out.end(), name) == out.end())
            out.push_back(name);
    };
    for (const auto &chain : facts.chains) {
        std::for_each(chain.receives.begin(), chain.receives.end(), add);
        std::for_each(chain.sends.begin(), chain.sends.end(), add);
    }
    std::for_each(given.interfaces.begin(), given.interfaces.end(), add);
    return out;
}

// But for the trial, which takes long and is the same before and after mending.
Result<Facts> gather(const Given &given, const json &document)
{
    Facts facts;
    facts.host = preflight::read_host();
    if (!document.is_null())
        if (auto r = preflight::read_plan(document, facts); !r)
            return r.error();
    facts.interfaces = preflight::read_interfaces(interfaces_of(facts, given), pin_root);
    return facts;
}

json report_of(const Facts &facts, const std::vector<Finding> &findings,
               const std::vector<Mended> &mended)
{
    json found = json::array(), fixes = json::array();
    for (const auto &f : findings) {
        json mend = json::array();
        for (const auto &command : f.mend)
            mend.push_back(preflight::text_of(command));
        found.push_back({{"level", text_of(f.level)},
                         {"subject", f.subject},
                         {"check", f.check},
                         {"text", f.text},
                         {"mend", std::move(mend)},
                         {"safe", f.safe}});
    }
    for (const auto &m : mended)
        fixes.push_back({{"command", preflight::text_of(m.command)},
                         {"done", m.error.empty()},
                         {"error", m.error}});
    const bool good = std::none_of(findings.begin(), findings.end(),
                                   [](const Finding &f) { return f.level == Level::error; });
    return {{"good", good},
            {"findings", std::move(found)},
            {"fixes", std::move(fixes)},
            {"facts", to_json(facts)}};
}

// In lines of a terminal, those after the first indented.
std::string wrapped(const std::string &text, std::size_t indent)
{
    constexpr std::size_t width = 100;
    std::istringstream in(text);
    std::string out;
    std::size_t column = indent;
    for (std::string word; in >> word; column += word.size()) {
        if (column > indent && column + 1 + word.size() > width) {
            out += "\n" + std::string(indent, ' ');
            column = indent;
        } else if (column > indent) {
            out += ' ';
            ++column;
        }
        out += word;
    }
    return out;
}

std::string preflight_view(const json &report)
{
    constexpr std::size_t margin = 2, level_width = 9, check_width = 12;
    constexpr std::size_t indent = margin + level_width + check_width;
    std::string out;
    for (const auto &fix : report["fixes"]) {
        out += "$ " + fix["command"].get<std::string>() + "\n";
        if (!fix["done"])
            out += "  failed: " + fix["error"].get<std::string>() + "\n";
    }
    out += report["fixes"].empty() ? "" : "\n";
    std::string subject;
    for (const auto &f : report["findings"]) {
        if (f["subject"] != subject)
            out += (subject.empty() ? "" : "\n") + f["subject"].get<std::string>() + "\n";
        subject = f["subject"];
        std::string level = f["level"], check = f["check"];
        level.resize(std::max(level.size(), level_width), ' ');
        check.resize(std::max(check.size(), check_width), ' ');
        out += std::string(margin, ' ') + level + check + wrapped(f["text"], indent) + "\n";
        for (const auto &command : f["mend"])
            out += std::string(indent, ' ') + "$ " + command.get<std::string>() + "\n";
    }
    return out;
}

void check(Context &context, const Given &given)
{
    const auto document = planned(given);
    if (!document)
        return context.fail(document.error(), given.path);
    auto facts = gather(given, *document);
    if (!facts)
        return context.fail(facts.error(), given.path);
    const auto trial = document->is_null() ? std::nullopt : preflight::try_out(*document);
    facts->trial = trial;
    auto findings = judge(*facts);
    std::vector<Mended> mended;
    if (given.fix) {
        mended = preflight::mend(findings);
        facts = gather(given, *document);
        if (!facts)
            return context.fail(facts.error(), given.path);
        facts->trial = trial;
        findings = judge(*facts);
    }
    const json report = report_of(*facts, findings, mended);
    context.print(report, preflight_view);
    if (!report["good"])
        context.conclude(failed);
}

} // namespace

void add_preflight_command(CLI::App &app, Context &context)
{
    auto *verb = app.add_subcommand("preflight", "What will work here, and what to mend before");
    auto given = std::make_shared<Given>();
    verb->add_option("INTERFACE", given->interfaces,
                     "Also these; without a chain: only these, or all that are up");
    verb->add_option("--config", given->config, "For the chains of a TOML file, as for evnfd");
    verb->add_option("--path", given->path, "For one chain, such as 'in(eth0) -> efw -> out'");
    verb->add_flag("--generic", given->generic, "XDP in the kernel's generic mode, with --path");
    verb->add_flag("--fix", given->fix, "Run the commands that are safe, and look again");
    verb->footer(
        "Needs no evnfd. A chain's programs and tables are loaded on trial, and thrown away.\n"
        "Each line says how good something is (ok, note, warning, error), why, and the command\n"
        "that mends it. --fix runs those that can be run while packets pass, and be taken back:\n"
        "offloads, numbers of queues, interrupts, the BPF file system and compiler. It never\n"
        "takes off programs of others, changes an MTU or makes the host a router.\n"
        "Exit code: 0 without errors, 1 with, 2 for wrong input.");
    verb->callback([&context, given] { check(context, *given); });
}

} // namespace evnf::cli
