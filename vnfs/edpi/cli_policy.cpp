// SPDX-License-Identifier: GPL-2.0-or-later
// `evnf edpi policy …`: what is done with flows of which applications.
#include <memory>

#include "vnfs/edpi/cli_words.hpp"

namespace evnf::edpi
{

namespace
{

using cli::Context;
using cli::json;

constexpr const char *policy_help =
    "The first policy that takes a flow is its own. It takes flows that have one of its\n"
    "applications, one of its categories and one of its hosts, as far as it has any.\n"
    "\n"
    "Actions:\n"
    "  forward        on, and no later policy looks at it\n"
    "  drop\n"
    "  limit          --rate \"10 mbit/s\" for all its flows together, --burst BYTES at once\n"
    "  mark           --dscp cs1, ef, … or a number\n"
    "  send           --to way1, an output of edpi in its chain's path\n"
    "\n"
    "Examples:\n"
    "  evnf edpi policy add p2p drop --application BitTorrent\n"
    "  evnf edpi policy add video limit --rate '20 mbit/s' --category Streaming --category Video\n"
    "  evnf edpi policy add ads drop --host 'ads.example.com' --host '*.ads.example.com'";

struct Words {
    std::string name, action, rate, dscp, to, before;
    std::vector<std::string> applications, categories, hosts;
    unsigned burst = 0;

    [[nodiscard]] json body() const
    {
        json out{{"action", action}};
        const auto put = [&](const char *key, const auto &value) {
            if (!value.empty())
                out[key] = value;
        };
        put("application", applications);
        put("category", categories);
        put("host", hosts);
        put("rate", rate);
        put("to", to);
        put("before", before);
        if (burst)
            out["burst"] = burst;
        const bool number =
            !dscp.empty() && dscp.size() < 4 && dscp.find_first_not_of("0123456789") == dscp.npos;
        if (number)
            out["dscp"] = std::stoul(dscp);
        else
            put("dscp", dscp);
        return out;
    }
};

std::string list_text(const json &values)
{
    std::string out;
    for (const auto &v : values)
        out += (out.empty() ? "" : ", ") + v.get<std::string>();
    return out.empty() ? "-" : out;
}

std::string action_text(const json &policy)
{
    std::string out = policy["action"];
    for (const char *key : {"rate", "dscp", "to"})
        if (policy.contains(key))
            out += " " +
                   (policy[key].is_string() ? policy[key].get<std::string>() : policy[key].dump());
    return out;
}

std::string policies_text(const json &section)
{
    std::vector<std::vector<std::string>> rows{
        {"NAME", "APPLICATION", "CATEGORY", "HOST", "ACTION", "PACKETS", "BYTES", "DROPPED"}};
    // What is in no chain has not counted.
    const auto number = [](const json &policy, const char *key) {
        return policy.contains(key) ? policy[key].dump() : "-";
    };
    for (const auto &p : section["policy"])
        rows.push_back({p["name"], list_text(p.value("application", json::array())),
                        list_text(p.value("category", json::array())),
                        list_text(p.value("host", json::array())), action_text(p),
                        number(p, "packets"), number(p, "bytes"), number(p, "dropped_packets")});
    return cli::table(rows);
}

void add_options(CLI::App *verb, const std::shared_ptr<Words> &words)
{
    verb->add_option("NAME", words->name, "Of the policy")->required();
    verb->add_option("ACTION", words->action, "forward, drop, limit, mark or send")->required();
    verb->add_option("--application", words->applications,
                     "Of its flows, or a part of its name: Google of TLS.Google; may be repeated");
    verb->add_option("--category", words->categories, "Of their applications; may be repeated");
    verb->add_option("--host", words->hosts,
                     "The server's name, or a pattern such as *.example.org; may be repeated");
    verb->add_option("--rate", words->rate, "To limit: 10 mbit/s");
    verb->add_option("--burst", words->burst, "To limit: bytes at once; a tenth of a second's");
    verb->add_option("--dscp", words->dscp, "To mark: cs0 to cs7, af11 to af43, ef, or a number");
    verb->add_option("--to", words->to, "To send: way1 to way8");
    verb->footer(policy_help);
}

void put(Context &context, const char *method, const std::string &path, const json &body)
{
    auto reply = context.call(method, path, body);
    if (!reply)
        return context.fail(reply.error());
    context.print(*reply, [](const json &p) {
        return "policy " + p["name"].get<std::string>() + ": " + action_text(p) + "\n";
    });
}

void remove(Context &context, const std::string &name)
{
    auto reply = context.call("DELETE", "/v1/edpi/policies/" + name);
    if (!reply)
        return context.fail(reply.error());
    context.print(*reply, [](const json &p) {
        return "removed policy " + p["name"].get<std::string>() + "\n";
    });
}

} // namespace

void add_policy_verbs(CLI::App &edpi, Context &context)
{
    auto *policy = edpi.add_subcommand("policy", "What is done with flows that are known")
                       ->require_subcommand(1);
    policy->add_subcommand("list", "The policies in their order, with what they have counted")
        ->callback([&context] {
            auto section = context.call("GET", "/v1/edpi");
            if (!section)
                return context.fail(section.error());
            context.print((*section)["policy"],
                          [&](const json &) { return policies_text(*section); });
        });

    auto words = std::make_shared<Words>();
    auto *add = policy->add_subcommand("add", "Add one");
    add_options(add, words);
    add->add_option("--before", words->before, "A policy; without it, after all");
    add->callback([&context, words] {
        json body = words->body();
        body["name"] = words->name;
        put(context, "POST", "/v1/edpi/policies", body);
    });
    auto changed = std::make_shared<Words>();
    auto *set = policy->add_subcommand("set", "Change one, all of it");
    add_options(set, changed);
    set->callback([&context, changed] {
        put(context, "PUT", "/v1/edpi/policies/" + changed->name, changed->body());
    });
    auto name = std::make_shared<std::string>();
    auto *del = policy->add_subcommand("del", "Remove one");
    del->add_option("NAME", *name, "As `list` has it")->required();
    del->callback([&context, name] { remove(context, *name); });
}

} // namespace evnf::edpi
