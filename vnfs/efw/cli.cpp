// SPDX-License-Identifier: GPL-2.0-or-later
// evnf efw …
#include "vnfs/cli.hpp"

#include <algorithm>
#include <array>
#include <ctime>
#include <limits>
#include <memory>

#include "abi/match.h"
#include "base/net.hpp"
#include "base/text.hpp"
#include "vnfs/efw/cli_analysis.hpp"
#include "vnfs/efw/cli_exchange.hpp"
#include "vnfs/efw/cli_explain.hpp"
#include "vnfs/efw/cli_offload.hpp"
#include "vnfs/efw/cli_sets.hpp"
#include "vnfs/efw/packet_line.hpp"
#include "vnfs/efw/rule.hpp"
#include "vnfs/efw/rule_file.hpp"

namespace evnf::efw
{

namespace
{

using cli::Context;
using cli::json;

constexpr const char *rule_help =
    "A rule, in the words of nft:\n"
    "  [priority N] MATCH… [limit rate [over] N/UNIT [burst N] [per saddr]] [log [sample N]]\n"
    "  accept | drop | slow | reject | count  [name \"TEXT\"] [comment \"TEXT\"]\n"
    "MATCH, in any order, but for what is of a protocol, which comes after it:\n"
    "  ip | ip6\n"
    "  saddr, daddr      an address, a prefix, or A-B\n"
    "  tcp | udp | sctp | icmp | icmpv6 | igmp | gre | esp | ah | ospf | vrrp | protocol P\n"
    "  sport, dport      of tcp, udp and sctp: a port or P-P\n"
    "  type              of icmp and icmpv6: echo-request, 8, or with its code 3/4\n"
    "  flags             of tcp: syn,rst (any of them is set), or syn / syn,ack (of those after\n"
    "                    the /, the ones before it are set and no others)\n"
    "  in                the interface by which the packet came; veth* for all that begin so\n"
    "  vlan              the id of the outermost tag, or N-N\n"
    "  dscp              cs0 to cs7, af11 to af43, ef, N or N-N\n"
    "  fragment          none, first or later\n"
    "  length            of the IP packet in bytes, N or N-N\n"
    "!= before a value negates it, as in protocol != tcp. For a value there may be a list, as\n"
    "{ 80, 443, 8000-8080 }, in a shell within quotes, but not for flags. A packet that does not\n"
    "have what a rule asks for (a port, a tag) is not matched by it, negated or not.\n"
    "Sets that the configuration declares: saddr, daddr, sport or dport @NAME, and addresses with\n"
    "ports, saddr.sport or daddr.dport @NAME.\n"
    "\n"
    "The rule with the lowest priority number is looked at first (100 if none is given),\n"
    "of the same priority the one that was there first. accept goes on with the chain, drop ends\n"
    "the packet's way, reject also tells its sender, slow leaves it to netfilter, as does the\n"
    "default for packets that no rule matches. count counts it, and looks at the next rule.\n"
    "UNIT is second, minute, hour or day. A rule with a limit matches only packets within it, or\n"
    "with over only those above; after a pause burst packets (5 if none is given) may come at\n"
    "once. per saddr is a limit for each source address. log logs what matches, or one packet of\n"
    "N; logs and counters show the rule's name.\n"
    "\n"
    "Examples:\n"
    "  evnf efw rule add tcp dport 80 accept\n"
    "  evnf efw rule add priority 10 ip saddr 203.0.113.0/24 drop\n"
    "  evnf efw rule add --ttl 10m 'in eth0 saddr { 203.0.113.7, 198.51.100.0/24 } drop'\n"
    "  evnf efw rule add ip6 daddr 2001:db8::/32 udp dport 5000-5999 slow comment \"voice\"\n"
    "  evnf efw rule add tcp flags syn / syn,ack limit rate over 100/second per saddr drop";

constexpr const char *replace_help =
    "FILE has one rule on each line; what follows a # is a comment. The owner's rules become\n"
    "those of the file at once, or, if one of them is wrong, stay as they are. Rules that stay\n"
    "keep their ids and counts; those of other owners, or without --owner those that have one,\n"
    "are not touched.";

// Words of a command line as one text. A blank within a word was in quotes, which a name
// and a comment keep.
std::string join(const std::vector<std::string> &words)
{
    std::string out, before;
    for (const auto &word : words) {
        const bool quote = (before == "name" || before == "comment") &&
                           (word.empty() || word.find_first_of(" \t") != word.npos);
        out += (out.empty() ? "" : " ") + (quote ? "\"" + word + "\"" : word);
        before = word;
    }
    return out;
}

// "10m": seconds, if there is no unit.
Result<std::uint64_t> parse_duration(const std::string &text)
{
    struct Unit {
        char letter;
        std::uint64_t seconds;
    };
    constexpr std::array units{Unit{'s', 1}, Unit{'m', 60}, Unit{'h', 3600}, Unit{'d', 86400}};
    constexpr auto most = std::numeric_limits<std::uint32_t>::max();
    const auto unit = std::find_if(units.begin(), units.end(),
                                   [&](const Unit &u) { return text.ends_with(u.letter); });
    const bool given = unit != units.end();
    const std::uint64_t seconds = given ? unit->seconds : 1;
    auto n = parse_number(std::string_view(text).substr(0, text.size() - given), 1, most / seconds,
                          "time");
    if (!n)
        return bad_input(in_quotes(text) +
                         " is not a time such as 30s, 10m, 2h or 7d: at most 2^32 seconds");
    return *n * seconds;
}

std::string number(const json &n)
{
    return std::to_string(n.get<std::uint64_t>());
}

// Of a rule or the section: what only a stage that runs has is not there without one.
std::string live_number(const json &object, const char *key)
{
    return object.contains(key) ? number(object[key]) : "-";
}

std::string rule_line(const json &rule)
{
    return "rule " + number(rule["id"]) + ": " + rule["rule"].get<std::string>() + "\n";
}

struct Add {
    std::vector<std::string> words;
    std::string ttl;
    std::string owner;
};

void rule_add(Context &context, const Add &given)
{
    const std::string text = join(given.words);
    if (auto rule = parse_rule(text); !rule) // here, so that the word can be shown
        return context.fail(rule.error(), text);
    json body{{"rule", text}};
    if (!given.ttl.empty()) {
        auto ttl = parse_duration(given.ttl);
        if (!ttl)
            return context.fail(ttl.error());
        body["ttl"] = *ttl;
    }
    if (!given.owner.empty())
        body["owner"] = given.owner;
    auto reply = context.call("POST", "/v1/efw/rules", body);
    if (!reply)
        return context.fail(reply.error(), text);
    context.print(*reply, rule_line);
}

void rule_del(Context &context, const std::vector<unsigned> &ids)
{
    json removed = json::array();
    Result<json> reply = json();
    for (const unsigned id : ids) {
        reply = context.call("DELETE", "/v1/efw/rules/" + std::to_string(id));
        if (!reply)
            break;
        removed.push_back(*reply);
    }
    if (reply || !removed.empty())
        context.print(removed, [](const json &rules) {
            std::string out;
            for (const auto &r : rules)
                out += "removed " + rule_line(r);
            return out;
        });
    if (!reply)
        context.fail(reply.error());
}

std::string replaced_text(const json &reply)
{
    std::string out;
    for (const auto &r : reply["removed"])
        out += "- " + rule_line(r);
    for (const auto &r : reply["added"])
        out += "+ " + rule_line(r);
    return out + number(reply["added"].size()) + " added, " + number(reply["removed"].size()) +
           " removed, " + number(reply["kept"]) + " kept\n";
}

void rule_replace(Context &context, const std::string &path, const std::string &owner)
{
    auto rules = read_rule_file(path);
    if (!rules) {
        Error e = rules.error();
        e.what = e.message();
        return context.fail(e);
    }
    json body{{"rules", json::array()}};
    for (const auto &rule : *rules)
        body["rules"].push_back(rule.text);
    if (!owner.empty())
        body["owner"] = owner;
    auto reply = context.call("PUT", "/v1/efw/rules", body);
    if (reply)
        return context.print(*reply, replaced_text);
    // "/rules/N": the fault is in that one.
    constexpr std::string_view place = "/rules/";
    Error e = reply.error();
    std::string text;
    if (e.where.starts_with(place)) {
        const auto index = parse_number(std::string_view(e.where).substr(place.size()), 0,
                                        MATCH_MAX_RULES, "place");
        if (index && *index < rules->size()) {
            text = (*rules)[*index].text;
            e = in_file(path, (*rules)[*index], std::move(e));
        }
    }
    context.fail(e, text);
}

// How long a rule stays, empty for ever.
std::string left_text(const json &rule)
{
    if (!rule.contains("expires"))
        return "";
    const auto left = rule["expires"].get<std::int64_t>() - std::time(nullptr);
    return std::to_string(std::max<std::int64_t>(left, 0)) + "s";
}

std::string rules_table(const json &section)
{
    const auto has = [&](const char *key) {
        return std::any_of(section["rules"].begin(), section["rules"].end(),
                           [&](const json &r) { return r.contains(key); });
    };
    const bool owners = has("owner"), times = has("expires");
    std::vector<std::vector<std::string>> rows;
    const auto add = [&](std::vector<std::string> row, const std::string &owner,
                         const std::string &left, const std::string &rule) {
        if (owners)
            row.push_back(owner);
        if (times)
            row.push_back(left);
        row.push_back(rule);
        rows.push_back(std::move(row));
    };
    add({"ID", "PRIORITY", "PACKETS", "BYTES"}, "OWNER", "LEFT", "RULE");
    for (const auto &r : section["rules"])
        add({number(r["id"]), live_number(r, "priority"), live_number(r, "packets"),
             live_number(r, "bytes")},
            r.value("owner", ""), left_text(r), r["rule"]);
    add({"-", "default", live_number(section, "default_packets"),
         live_number(section, "default_bytes")},
        "", "", section["default"]);
    return cli::table(rows);
}

void rule_list(Context &context, const std::string &owner)
{
    auto reply = context.call("GET", "/v1/efw");
    if (!reply)
        return context.fail(reply.error());
    json shown = *reply;
    if (!owner.empty()) {
        shown["rules"] = json::array();
        for (const auto &r : (*reply)["rules"])
            if (r.value("owner", "") == owner)
                shown["rules"].push_back(r);
    }
    context.print(shown, rules_table);
}

void add_add(CLI::App &rule, Context &context)
{
    auto *add = rule.add_subcommand("add", "Add a rule");
    auto given = std::make_shared<Add>();
    add->add_option("RULE", given->words, "The words of the rule")->required();
    add->add_option("--ttl", given->ttl, "How long it stays: 30s, 10m, 2h, 7d");
    add->add_option("--owner", given->owner, "Whose it is, for 'rule replace' and 'rule list'");
    add->footer(rule_help);
    add->callback([&context, given] { rule_add(context, *given); });
}

void add_replace(CLI::App &rule, Context &context)
{
    auto *replace = rule.add_subcommand("replace", "Replace all rules of an owner at once");
    auto path = std::make_shared<std::string>();
    auto owner = std::make_shared<std::string>();
    replace->add_option("FILE", *path, "A file with one rule on each line")->required();
    replace->add_option("--owner", *owner, "Whose rules; those without an owner, if not given");
    replace->footer(replace_help);
    replace->callback([&context, path, owner] { rule_replace(context, *path, *owner); });
}

void add_log(CLI::App &efw, Context &context)
{
    auto *log = efw.add_subcommand("log", "The packets that rules log, as they come");
    auto count = std::make_shared<std::size_t>(0);
    log->add_option("-c,--count", *count, "End after so many packets");
    log->footer("All packets that rules with the word log match, or those of the sample; the\n"
                "daemon's own log has as many of them as it can take.");
    log->callback([&context, count] { context.follow("/v1/efw/log", *count, log_line); });
}

void add_verbs(CLI::App &app, Context &context)
{
    auto *efw = app.add_subcommand("efw", "The firewall")->require_subcommand(1);
    auto *rule = efw->add_subcommand("rule", "Its rules")->require_subcommand(1);
    add_add(*rule, context);

    auto *del = rule->add_subcommand("del", "Remove rules");
    auto ids = std::make_shared<std::vector<unsigned>>();
    del->add_option("ID", *ids, "Their ids, as 'rule list' shows them")->required();
    del->footer("One after the other: if one is not there, those after it stay.");
    del->callback([&context, ids] { rule_del(context, *ids); });

    auto *list = rule->add_subcommand("list", "Show the rules in order of evaluation, with counts");
    auto owner = std::make_shared<std::string>();
    list->add_option("--owner", *owner, "Only this one's");
    list->callback([&context, owner] { rule_list(context, *owner); });

    add_replace(*rule, context);
    add_exchange(*rule, context);
    add_offload(*efw, context);
    add_log(*efw, context);
    add_set_verbs(*efw, context);
    add_analysis_verbs(*efw, context);
    add_explain_verb(*efw, context);
}

const cli::VerbsRegistration registration({"efw", add_verbs, set_files});

} // namespace

} // namespace evnf::efw
