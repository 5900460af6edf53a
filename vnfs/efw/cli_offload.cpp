// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/cli_offload.hpp"

#include "base/net.hpp"
#include "vnfs/efw/offload/plan.hpp"

namespace evnf::efw
{

namespace
{

using cli::Context;
using cli::json;

std::string number(const json &object, const char *key)
{
    return object.contains(key) ? std::to_string(object[key].get<std::uint64_t>()) : "-";
}

std::string place_of(const json &rule)
{
    return rule["family"].get<std::string>() + " " + rule["table"].get<std::string>() + " " +
           rule["chain"].get<std::string>();
}

std::string first_cause(const json &rule)
{
    std::string out;
    for (const char *key : {"because", "conditions"})
        if (rule.contains(key))
            for (const auto &cause : rule[key])
                out += (out.empty() ? "" : "; ") + cause.get<std::string>();
    return out;
}

// Every rule of netfilter, and what becomes of it.
std::string rules_text(const json &rules)
{
    std::vector<std::vector<std::string>> rows{{"TABLE", "STATE", "RULE", "BECAUSE"}};
    for (const auto &r : rules)
        rows.push_back({place_of(r), r["state"], r["rule"], first_cause(r)});
    return cli::table(rows);
}

// "12/720": packets and bytes.
std::string count_text(const json &rule, const char *key)
{
    if (!rule.contains(key))
        return "-";
    const bool least = rule.contains("at_least") && key == std::string_view("sum");
    return (least ? ">=" : "") + number(rule[key], "packets") + "/" + number(rule[key], "bytes");
}

std::string counted_text(const json &rules)
{
    std::vector<std::vector<std::string>> rows{
        {"TABLE", "STATE", "FAST PATH", "NETFILTER", "SUM", "RULE", "BECAUSE"}};
    for (const auto &r : rules) {
        std::string because = first_cause(r);
        for (const char *key : {"no_sum", "at_least"})
            if (r.contains(key))
                because += (because.empty() ? "" : "; ") + r[key].get<std::string>();
        rows.push_back({place_of(r), r["state"], count_text(r, "fast_path"),
                        count_text(r, "netfilter"), count_text(r, "sum"), r["rule"], because});
    }
    return cli::table(rows) + "counts are packets/bytes: what the fast path has decided, what "
                              "netfilter has counted itself, and both together\n";
}

std::string summary_text(const json &plan)
{
    return number(plan, "decisions") + " decisions: " + number(plan, "drop") + " drop, " +
           number(plan, "accept") + " accept, the rest is left to netfilter" +
           (plan["complete"] == true ? "" : "; there were too many, not all are offloaded") + "\n";
}

void show_plan(Context &context)
{
    std::vector<std::string> names;
    for (const auto &[name, ifindex] : interfaces())
        if (name != "lo" && names.size() < EFW_MAX_LINKS)
            names.push_back(name);
    auto rules = offload::read_live();
    if (!rules)
        return context.fail(rules.error());
    auto host = offload::read_host(names);
    if (!host)
        return context.fail(host.error());
    context.print(offload::report(offload::plan(*rules, *host)),
                  [](const json &plan) { return rules_text(plan["rules"]) + summary_text(plan); });
}

std::string status_text(const json &offload)
{
    if (offload["enabled"] != true)
        return "offload is off: evnf efw offload enable\n" + counted_text(offload["rules"]);
    std::string out = "offload: " + offload["state"].get<std::string>();
    if (offload.contains("error"))
        out += ": " + offload["error"].get<std::string>();
    out += "\nread " + number(offload, "plans") + " times, the last in " +
           number(offload, "took_ms") + " ms; changes of nftables are seen by " +
           (offload["seen_by_kernel"] == true ? "the fast path itself"
                                              : "the daemon, within half a second") +
           "\n";
    out += counted_text(offload["rules"]);
    return offload.contains("plan") ? out + summary_text(offload["plan"]) : out;
}

void show_status(Context &context)
{
    auto offload = context.call("GET", "/v1/efw/offload");
    if (!offload)
        return context.fail(offload.error());
    context.print(*offload, status_text);
}

void enable(Context &context, bool enabled)
{
    auto reply = context.call("PUT", "/v1/efw/offload", {{"enabled", enabled}});
    if (!reply)
        return context.fail(reply.error());
    context.print(*reply, [](const json &r) {
        return r["enabled"] == true
                   ? "netfilter's rules are offloaded as soon as they have been read: see "
                     "evnf efw offload status\n"
                   : "netfilter decides alone\n";
    });
}

} // namespace

void add_offload(CLI::App &efw, Context &context)
{
    auto *offload =
        efw.add_subcommand("offload", "Netfilter's rules, as far as the fast path can have them")
            ->require_subcommand(1);
    offload->add_subcommand("enable", "Offload what can be, and follow each change")
        ->callback([&context] { enable(context, true); });
    offload->add_subcommand("disable", "Leave all to netfilter")->callback([&context] {
        enable(context, false);
    });
    offload->add_subcommand("status", "Each rule of netfilter, and what was decided for it")
        ->callback([&context] { show_status(context); });
    offload
        ->add_subcommand("plan", "What would be offloaded of the rules that are in force here; "
                                 "needs no daemon, but root")
        ->callback([&context] { show_plan(context); });
}

} // namespace evnf::efw
