// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/cli_exchange.hpp"

#include <fstream>
#include <memory>

#include "abi/match.h"
#include "base/text.hpp"
#include "vnfs/efw/export_rules.hpp"
#include "vnfs/efw/foreign_rules.hpp"

namespace evnf::efw
{

namespace
{

using cli::Context;
using cli::json;

constexpr const char *import_help =
    "FILE is what iptables-save, ip6tables-save or nft -j list ruleset write, or what rule export\n"
    "does. Of netfilter's, one chain is taken with all that it jumps to: its ACCEPT is accept, "
    "its\n"
    "policy the last rule, and RETURN from a chain without a policy is slow. What efw has no word\n"
    "for is refused with its place; with --leave it becomes slow, which leaves the packets that\n"
    "may match it to netfilter, and is listed. The owner's rules become those of the file at "
    "once,\n"
    "or stay as they are. Connections are netfilter's: rules that ask for their state are for\n"
    "evnf efw offload.";
constexpr const char *export_help =
    "iptables and ip6tables: a chain EFW for iptables-restore --noflush, of the rules for that\n"
    "family; nft: a table inet efw for nft -j -f. Neither chain is at a hook: jump to it where "
    "you\n"
    "want it. slow is a return, and the default is not exported. A rule that the format has no\n"
    "word for is refused. toml is for evnf apply, json and all others for rule import.";

struct ImportWords {
    std::string path;
    ImportOptions options;
    std::string owner = "imported";
    bool leave = false;
};

std::string refusals_text(const std::string &path, const std::vector<RefusedRule> &refused)
{
    std::string out;
    for (const auto &r : refused)
        out += path + ":" + std::to_string(r.place.line) + ":" + std::to_string(r.place.column) +
               ": " + r.why + "\n    " + r.text + "\n";
    return out;
}

json refusals_json(const std::vector<RefusedRule> &refused)
{
    json out = json::array();
    for (const auto &r : refused)
        out.push_back({{"line", r.place.line},
                       {"column", r.place.column},
                       {"rule", r.text},
                       {"because", r.why}});
    return out;
}

std::string count_text(const json &list)
{
    return std::to_string(list.size());
}

void import_file(Context &context, const ImportWords &given)
{
    std::ifstream in(given.path);
    if (!in)
        return context.fail(sys_error("read " + given.path));
    const std::string text(std::istreambuf_iterator<char>(in), {});
    if (in.bad())
        return context.fail(sys_error("read " + given.path));
    auto taken = read_foreign_rules(text, given.path, given.options);
    if (!taken)
        return context.fail(taken.error());
    if (!taken->refused.empty() && !given.leave)
        return context.fail(
            bad_input("nothing is imported: " + std::to_string(taken->refused.size()) +
                      " cannot be taken as rules of efw (with --leave, netfilter decides about "
                      "their packets)\n" +
                      refusals_text(given.path, taken->refused)));
    json body{{"rules", json::array()}, {"owner", given.owner}};
    for (const auto &r : taken->rules)
        body["rules"].push_back(text_of(r.rule));
    auto reply = context.call("PUT", "/v1/efw/rules", body);
    if (!reply) {
        Error e = reply.error();
        constexpr std::string_view place = "/rules/";
        const auto index = e.where.starts_with(place)
                               ? std::strtoul(e.where.c_str() + place.size(), nullptr, 10)
                               : taken->rules.size();
        if (index < taken->rules.size()) {
            const auto &at = taken->rules[index].place;
            e.what = given.path + ":" + std::to_string(at.line) + ":" + std::to_string(at.column) +
                     ": " + e.what;
            e.length = 0;
        }
        return context.fail(e);
    }
    json out = *reply;
    out["chain"] = taken->chain;
    out["owner"] = given.owner;
    out["left"] = refusals_json(taken->refused);
    context.print(out, [&](const json &r) {
        std::string lines = taken->refused.empty() ? "" : "left to netfilter:\n";
        lines += refusals_text(given.path, taken->refused);
        return lines + "rules of " + given.owner +
               (taken->chain.empty() ? "" : " from " + taken->chain) + ": " +
               count_text(r["added"]) + " added, " + count_text(r["removed"]) + " removed, " +
               std::to_string(r["kept"].get<std::size_t>()) + " kept\n";
    });
}

// A TOML basic string is a JSON string as far as a rule's text goes.
std::string toml_text(const json &section, const json &rules)
{
    std::string out = "[efw]\ndefault = " + section["default"].dump() + "\nrules = [\n";
    for (const auto &r : rules) {
        const bool plain = r.size() == 1;
        out += plain ? "    " + r["rule"].dump() : "    { rule = " + r["rule"].dump();
        if (r.contains("owner"))
            out += ", owner = " + r["owner"].dump();
        if (r.contains("expires"))
            out += ", expires = " + r["expires"].dump();
        out += plain ? ",\n" : " },\n";
    }
    return out + "]\n";
}

Result<std::string> exported(const std::string &format, const json &section, const json &rules)
{
    if (format == "toml")
        return toml_text(section, rules);
    if (format == "json")
        return json{{"default", section["default"]}, {"rules", rules}}.dump(2) + "\n";
    std::vector<Rule> list;
    for (const auto &r : rules) {
        if (r.contains("expires"))
            return bad_input(
                format + " has no word for a rule that expires: " + r["rule"].get<std::string>());
        auto rule = parse_rule(r["rule"].get<std::string>());
        if (!rule)
            return rule.error();
        list.push_back(*std::move(rule));
    }
    auto text =
        format == "nft" ? export_nft(list) : export_iptables(list, format == "iptables" ? 4 : 6);
    if (text)
        return text;
    Error e = text.error();
    const auto index = std::strtoul(e.where.c_str() + sizeof "/rules/" - 1, nullptr, 10);
    e.what = "rule " + in_quotes(text_of(list.at(index))) + ": " + e.what;
    return e;
}

void export_rules(Context &context, const std::string &format, const std::string &owner)
{
    auto section = context.call("GET", "/v1/efw");
    if (!section)
        return context.fail(section.error());
    json rules = json::array();
    for (const auto &r : (*section)["rules"]) {
        if (!owner.empty() && r.value("owner", "") != owner)
            continue;
        json rule{{"rule", r["rule"]}};
        for (const char *key : {"owner", "expires"})
            if (r.contains(key))
                rule[key] = r[key];
        rules.push_back(std::move(rule));
    }
    auto text = exported(format, *section, rules);
    if (!text)
        return context.fail(text.error());
    context.print({{"format", format}, {"text", *text}}, [&](const json &) { return *text; });
}

} // namespace

void add_exchange(CLI::App &rule, Context &context)
{
    auto *import = rule.add_subcommand("import", "Take rules of iptables or nft as an owner's");
    auto given = std::make_shared<ImportWords>();
    import->add_option("FILE", given->path, "Rules of another format")->required();
    import->add_option("--from", given->options.from, "The format, if it cannot be told")
        ->check(CLI::IsMember({"iptables", "ip6tables", "nft", "toml", "json"}));
    import->add_option("--chain", given->options.chain, "Which chain: NAME, or TABLE/NAME");
    import->add_option("--owner", given->owner, "Whose rules they become")->capture_default_str();
    import->add_flag("--leave", given->leave, "Leave to netfilter what efw has no word for");
    import->footer(import_help);
    import->callback([&context, given] { import_file(context, *given);
});

auto *out = rule.add_subcommand("export", "Show the rules in another format");
auto format = std::make_shared<std::string>("toml");
auto owner = std::make_shared<std::string>();
out->add_option("--format", *format, "The format")
    ->check(CLI::IsMember({"iptables", "ip6tables", "nft", "toml", "json"}))
    ->capture_default_str();
out->add_option("--owner", *owner, "Only this one's");
out->footer(export_help);
out->callback([&context, format, owner] { export_rules(context, *format, *owner); });
} // namespace evnf::efw

} // namespace evnf::efw
