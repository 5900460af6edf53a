// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/cli_explain.hpp"

#include <algorithm>
#include <memory>

#include "base/base64.hpp"
#include "vnfs/efw/cli_netfilter.hpp"
#include "vnfs/efw/explain/view.hpp"
#include "vnfs/efw/packet.hpp"
#include "vnfs/efw/pcap.hpp"
#include "vnfs/efw/ruleset_file.hpp"

namespace evnf::efw
{

namespace
{

using cli::Context;
using cli::json;

constexpr std::size_t batch = 100;                   // frames of a request
constexpr std::size_t shortest = 14, longest = 3520; // of a frame that XDP takes

struct Asked {
    std::vector<std::string> words;
    std::string pcap, in, out, rules;
    std::string section = "efw";
};

std::string str(const json &value)
{
    return value.get<std::string>();
}

std::string called(const json &rule)
{
    std::string out = rule.contains("id")      ? "rule " + rule["id"].dump() + ": "
                      : rule.contains("place") ? str(rule["place"]) + ": "
                                               : "";
    return out + str(rule["rule"]);
}

std::string fields_table(const json &fields)
{
    std::vector<std::vector<std::string>> rows{{"  ASKED", "PACKET"}};
    for (const auto &f : fields)
        rows.push_back({"  " + str(f["asked"]), f["seen"] ? str(f["value"]) : "cannot be seen"});
    return cli::table(rows);
}

// The offload's part of what a packet met.
std::string offload_text(const json &packet)
{
    const json &offload = packet["offload"];
    const bool kept = packet["verdict"] == "slow"; // from what it would decide
    if (offload["decision"] == "slow")
        return "left to netfilter: " + str(offload["because"]) + "\n";
    std::string out = kept ? "not offloaded: " : "decided by netfilter's ";
    if (kept)
        out += str(offload["decision"]) + ", by netfilter's ";
    out += offload.contains("rule") ? origin_text(offload["rule"]) : "rules";
    out += "\n";
    for (const auto &condition : offload.value("conditions", json::array()))
        out += "  on condition: " + str(condition) + "\n";
    return out;
}

std::string one_text(const json &packet)
{
    std::string out = packet.contains("packet") ? str(packet["packet"]) + "\n" : "";
    out +=
        str(packet["verdict"]) + ": " + str(packet["help"]) + " (" + str(packet["reason"]) + ")\n";
    for (const auto &rule : packet["counted"])
        out += "counted by " + called(rule) + "\n";
    for (const auto &rule : packet["limits"])
        out += "asks the limit of " + called(rule) + "\n";
    if (packet.contains("decided_by"))
        out += "decided by " + called(packet["decided_by"]) + "\n";
    if (packet.contains("offload"))
        out += offload_text(packet);
    out += packet["fields"].empty() ? "" : fields_table(packet["fields"]);
    return out + (packet.contains("netfilter") ? netfilter_text(packet["netfilter"]) : "");
}

std::string explained_text(const json &reply)
{
    return one_text(reply["packets"][0]);
}

bool has_origin(const json &packet)
{
    return packet.contains("offload") && packet["offload"].contains("rule");
}

std::string packets_table(const json &reply)
{
    std::vector<std::vector<std::string>> rows{
        {"NO", "VERDICT", "REASON", "RULE", "NETFILTER", "PACKET"}};
    for (const auto &p : reply["packets"])
        rows.push_back({std::to_string(rows.size()), str(p["verdict"]), str(p["reason"]),
                        p.contains("decided_by") ? called(p["decided_by"])
                        : has_origin(p)          ? origin_text(p["offload"]["rule"])
                                                 : "-",
                        p.contains("netfilter") ? str(p["netfilter"]["verdict"]) : "-",
                        p.value("packet", "-")});
    return cli::table(rows);
}

void explain_by_file(Context &context, const Asked &asked, const std::string &text)
{
    auto packet = parse_packet(text);
    auto ruleset = read_ruleset(asked.rules, asked.section);
    if (!packet || !ruleset)
        return context.fail(!packet ? packet.error() : ruleset.error(), packet ? "" : text);
    Rules rules{{}, ruleset->ruleset.otherwise, {{"place", ruleset->default_place}}};
    for (std::size_t i = 0; i < ruleset->places.size(); ++i)
        rules.rules.push_back({{{"place", ruleset->places[i]}}, ruleset->ruleset.rules[i]});
    const auto decision = evaluate(ruleset->ruleset.rules, rules.otherwise, *packet);
    const json packets = json::array({explained(decision, rules, *packet)});
    context.print({{"packets", packets}}, explained_text);
}

void explain_running(Context &context, const Asked &asked, const std::string &text)
{
    if (auto packet = parse_packet(text); !packet) // here, so that the word can be shown
        return context.fail(packet.error(), text);
    json body{{"packet", text}};
    if (!asked.out.empty())
        body["out"] = asked.out;
    auto reply = context.call("POST", "/v1/efw/explain", body);
    if (!reply)
        return context.fail(reply.error());
    context.print(*reply, explained_text);
}

// What no interface with XDP can have received is told without the daemon.
json not_run(std::size_t size)
{
    const bool cut = size < shortest;
    return {{"verdict", "none"},
            {"reason", cut ? "too_short" : "too_long"},
            {"help", cut ? "no Ethernet frame" : "joined by the capturing host: XDP never sees it"},
            {"counted", json::array()},
            {"limits", json::array()},
            {"fields", json::array()}};
}

void explain_capture(Context &context, const Asked &asked)
{
    auto frames = read_pcap(asked.pcap);
    if (!frames)
        return context.fail(frames.error());
    json packets = json::array();
    for (std::size_t at = 0; at < frames->size();) {
        json body{{"frames", json::array()}};
        if (!asked.in.empty())
            body["in"] = asked.in;
        if (!asked.out.empty())
            body["out"] = asked.out;
        std::vector<bool> runs;
        for (; at < frames->size() && runs.size() < batch; ++at) {
            const auto &frame = (*frames)[at];
            runs.push_back(frame.size() >= shortest && frame.size() <= longest);
            if (runs.back())
                body["frames"].push_back(base64(frame));
        }
        auto reply = context.call("POST", "/v1/efw/explain", body);
        if (!reply)
            return context.fail(reply.error());
        std::size_t next = 0;
        for (std::size_t i = 0; i < runs.size(); ++i)
            packets.push_back(runs[i] ? (*reply)["packets"][next++]
                                      : not_run((*frames)[at - runs.size() + i].size()));
    }
    context.print({{"packets", std::move(packets)}}, packets_table);
}

std::string joined(const std::vector<std::string> &words)
{
    std::string out;
    for (const auto &word : words)
        out += (out.empty() ? "" : " ") + word;
    return out;
}

void explain_verb(Context &context, const Asked &asked)
{
    if (asked.words.empty() == asked.pcap.empty())
        return context.fail(bad_input("what is explained is a PACKET, or those of --pcap FILE"));
    if (!asked.pcap.empty() && !asked.rules.empty())
        return context.fail(bad_input("a capture is explained by an evnfd that runs: without "
                                      "--rules"));
    if (!asked.pcap.empty())
        return explain_capture(context, asked);
    if (!asked.in.empty())
        return context.fail(bad_input("--in is for --pcap: a PACKET says it, as in 'in eth0'"));
    if (!asked.out.empty() && !asked.rules.empty())
        return context.fail(bad_input("--out is for netfilter's rules, and --rules is without "
                                      "them"));
    if (!asked.rules.empty())
        return explain_by_file(context, asked, joined(asked.words));
    explain_running(context, asked, joined(asked.words));
}

} // namespace

void add_explain_verb(CLI::App &efw, Context &context)
{
    auto *explain = efw.add_subcommand("explain", "What becomes of a packet, and by which rule");
    auto asked = std::make_shared<Asked>();
    explain->add_option("PACKET", asked->words, "The packet");
    explain->add_option("--pcap", asked->pcap, "The packets of a capture (pcap, Ethernet) instead");
    explain->add_option("--in", asked->in, "By which interface those came");
    explain->add_option("--out", asked->out,
                        "By which interface netfilter would have it leave, if not by the one that "
                        "the kernel's routes say");
    explain->add_option("--rules", asked->rules,
                        "Rules in a file, as for lint, instead of those that run");
    explain->add_option("--section", asked->section, "Which section of the file")
        ->capture_default_str();
    explain->footer(
        "The packet runs through a copy of the fast path, with the rules in force: nothing\n"
        "is counted, and no traffic is touched. What netfilter would say is calculated from its\n"
        "live rules. Example:\n"
        "  evnf efw explain 'tcp 198.51.100.7:4000 > 192.0.2.10:22 in eth0 syn'\n"
        "Of a packet with a payload or without the usual: vlan N, dscp N, len N, type T/C,\n"
        "frag first|later, malformed; with --rules also saddr @SET and the like.");
    explain->callback([&context, asked] { explain_verb(context, *asked); });
}

} // namespace evnf::efw
