// SPDX-License-Identifier: GPL-2.0-or-later
// evnf efw …
#include "vnfs/cli.hpp"

#include <memory>

#include "vnfs/efw/rule.hpp"

namespace evnf::efw
{

namespace
{

using cli::Context;
using cli::json;

constexpr const char *rule_help =
    "A rule, in the words of nft:\n"
    "  [priority N] [ip | ip6] [saddr PREFIX] [daddr PREFIX]\n"
    "  [protocol P | tcp | udp | sctp | icmp | icmpv6] [sport P[-P]] [dport P[-P]]\n"
    "  accept | drop | slow  [comment \"TEXT\"]\n"
    "The rule with the lowest priority number is looked at first (100 if none is given),\n"
    "of the same priority the one that was there first. accept goes on with the chain,\n"
    "slow leaves the packet to netfilter, as does the default for packets that no rule matches.\n"
    "\n"
    "Examples:\n"
    "  evnf efw rule add tcp dport 80 accept\n"
    "  evnf efw rule add priority 10 ip saddr 203.0.113.0/24 drop\n"
    "  evnf efw rule add ip6 daddr 2001:db8::/32 udp dport 5000-5999 slow comment \"voice\"";

std::string join(const std::vector<std::string> &words)
{
    if (words.size() == 1)
        return words[0]; // the whole rule as one argument
    std::string out;
    for (const auto &word : words) {
        const bool quote = word.find_first_of(" \t") != word.npos || word.empty();
        out += (out.empty() ? "" : " ") + (quote ? "\"" + word + "\"" : word);
    }
    return out;
}

void rule_add(Context &context, const std::vector<std::string> &words)
{
    const std::string text = join(words);
    if (auto rule = parse_rule(text); !rule) // here, so that the word can be shown
        return context.fail(rule.error(), text);
    auto reply = context.call("POST", "/v1/efw/rules", {{"rule", text}});
    if (!reply)
        return context.fail(reply.error(), text);
    context.print(*reply, [](const json &r) {
        return "rule " + std::to_string(r["id"].get<unsigned>()) + ": " +
               r["rule"].get<std::string>() + "\n";
    });
}

void rule_del(Context &context, unsigned id)
{
    auto reply = context.call("DELETE", "/v1/efw/rules/" + std::to_string(id));
    if (!reply)
        return context.fail(reply.error());
    context.print(*reply, [](const json &r) {
        return "removed rule " + std::to_string(r["id"].get<unsigned>()) + ": " +
               r["rule"].get<std::string>() + "\n";
    });
}

std::string number(const json &n)
{
    return std::to_string(n.get<std::uint64_t>());
}

void rule_list(Context &context)
{
    auto reply = context.call("GET", "/v1/efw");
    if (!reply)
        return context.fail(reply.error());
    context.print(*reply, [](const json &section) {
        std::vector<std::vector<std::string>> rows{{"ID", "PRIORITY", "PACKETS", "BYTES", "RULE"}};
        for (const auto &r : section["rules"])
            rows.push_back({number(r["id"]), number(r["priority"]), number(r["packets"]),
                            number(r["bytes"]), r["rule"]});
        rows.push_back({"-", "default", number(section["default_packets"]),
                        number(section["default_bytes"]), section["default"]});
        return cli::table(rows);
    });
}

void add_verbs(CLI::App &app, Context &context)
{
    auto *efw = app.add_subcommand("efw", "The firewall")->require_subcommand(1);
    auto *rule = efw->add_subcommand("rule", "Its rules")->require_subcommand(1);

    auto *add = rule->add_subcommand("add", "Add a rule");
    auto words = std::make_shared<std::vector<std::string>>();
    add->add_option("RULE", *words, "The words of the rule")->required();
    add->footer(rule_help);
    add->callback([&context, words] { rule_add(context, *words); });

    auto *del = rule->add_subcommand("del", "Remove a rule");
    auto id = std::make_shared<unsigned>(0);
    del->add_option("ID", *id, "Its id, as 'rule list' shows it")->required();
    del->callback([&context, id] { rule_del(context, *id); });

    auto *list = rule->add_subcommand("list", "Show the rules in order of evaluation, with counts");
    list->callback([&context] { rule_list(context); });
}

const cli::VerbsRegistration registration({"efw", add_verbs});

} // namespace

} // namespace evnf::efw
