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
std::string plan_text(const json &plan)
{
    const bool counted = !plan["rules"].empty() && plan["rules"][0].contains("packets");
    std::vector<std::vector<std::string>> rows{{"TABLE", "STATE", "RULE", "BECAUSE"}};
    if (counted)
        rows[0].insert(rows[0].begin() + 2, {"PACKETS", "BYTES"});
    for (const auto &r : plan["rules"]) {
        std::vector<std::string> row{r["family"].get<std::string>() + " " +
                                         r["table"].get<std::string>() + " " +
                                         r["chain"].get<std::string>(),
                                     r["state"], r["rule"], first_cause(r)};
        if (counted)
            row.insert(row.begin() + 2, {number(r, "packets"), number(r, "bytes")});
        rows.push_back(std::move(row));
    }
    return cli::table(rows) + number(plan, "decisions") + " decisions: " + number(plan, "drop") +
           " drop, " + number(plan, "accept") + " accept, the rest is left to netfilter" +
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
    context.print(offload::report(offload::plan(*rules, *host)), plan_text);
}

std::string status_text(const json &offload)
{
    if (offload["enabled"] != true)
        return "offload is off: evnf efw offload enable\n";
    std::string out = "offload: " + offload["state"].get<std::string>();
    if (offload.contains("error"))
        out += ": " + offload["error"].get<std::string>();
    out += "\nread " + number(offload, "plans") + " times, the last in " +
           number(offload, "took_ms") + " ms; changes of nftables are seen by " +
           (offload["seen_by_kernel"] == true ? "the fast path itself"
                                              : "the daemon, within half a second") +
           "\n";
    return offload.contains("plan") ? out + plan_text(offload["plan"]) : out;
}

void show_status(Context &context)
{
    auto section = context.call("GET", "/v1/efw");
    if (!section)
        return context.fail(section.error());
    context.print(section->value("offload", json{{"enabled", false}}), status_text);
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
