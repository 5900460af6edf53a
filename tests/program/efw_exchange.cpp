// SPDX-License-Identifier: GPL-2.0-or-later
// Rules of efw in other languages and back, by the programs and the kernel that speak them;
// and rulesets in the style of well-known tools, which are read the same once the kernel has
// had them. EVNF_ROUNDS (12) says how many rulesets there are of each kind.
#include <sched.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "support/environment.hpp"
#include "support/rulesets.hpp"
#include "vnfs/efw/export_rules.hpp"
#include "vnfs/efw/foreign_rules.hpp"
#include "vnfs/efw/offload/plan.hpp"
#include "vnfs/efw/offload/program.hpp"

using namespace evnf;
using namespace evnf::efw;

namespace
{

// A network namespace of the test's own.
void enter_new_namespace()
{
    REQUIRE(::unshare(CLONE_NEWNET) == 0);
}

std::string file_text(const std::string &path)
{
    std::ifstream in(path);
    REQUIRE(in);
    return {std::istreambuf_iterator<char>(in), {}};
}

// By a program that reads its standard input.
void load(const std::string &program, const std::string &text)
{
    const std::string path = "/tmp/evnf-exchange-" + std::to_string(::getpid());
    std::ofstream(path) << text;
    const int status = std::system((program + " < " + path + " > " + path + ".err 2>&1").c_str());
    INFO(program << ": " << file_text(path + ".err") << "\n" << text);
    std::remove(path.c_str());
    std::remove((path + ".err").c_str());
    REQUIRE(status == 0);
}

std::string output(const std::vector<std::string> &words)
{
    auto r = offload::run_program(words);
    if (!r)
        FAIL(r.error().message());
    return *r;
}

std::vector<std::string> texts(const std::vector<Rule> &rules)
{
    std::vector<std::string> out;
    for (const auto &r : rules)
        out.push_back(text_of(r));
    return out;
}

std::vector<std::string> imported(const std::string &text, const std::string &chain,
                                  const std::string &from = "")
{
    auto r = read_foreign_rules(text, "rules", {.from = from, .chain = chain});
    INFO(text);
    if (!r)
        FAIL(r.error().message());
    for (const auto &refused : r->refused)
        FAIL(refused.text << ": " << refused.why);
    std::vector<std::string> out;
    for (const auto &rule : r->rules)
        out.push_back(text_of(rule.rule));
    return out;
}

// Rules that the format has words for, as they come back: their order is their priority.
template <class Export>
std::vector<Rule> some_rules(model::Random &random, Export sayable, int family)
{
    std::vector<Rule> out;
    std::set<std::string> seen;
    for (int tries = 0; tries < 4000 && out.size() < 40; ++tries) {
        Rule rule = model::any_rule(random);
        rule.priority = Rule::default_priority;
        rule.name.clear();
        if (family && rule.match.family == 0)
            rule.match.family = family;
        if (family && rule.match.family != family)
            continue;
        if (rule.limit) // a rate that the kernel keeps as it is written
            rule.limit->packets = 1 + static_cast<std::uint32_t>(random() % 20);
        // All addresses of a family are those of the family: the kernel keeps no more.
        for (auto *field : {&rule.match.src, &rule.match.dst})
            for (const auto *all : {"0.0.0.0/0", "::/0"})
                if (field->ranges == match::Ranges<Address>{match::range_of(*Prefix::parse(all))})
                    field->ranges.clear();
        for (auto *field : {&rule.match.sport, &rule.match.dport})
            if (const auto most = field->values(); field->negated && most.size() == 1)
                *field = {most, false};
        const auto same = parse_rule(text_of(rule));
        if (same && sayable(std::vector<Rule>{*same}) && seen.insert(text_of(*same)).second)
            out.push_back(*same);
    }
    return out;
}

// What has effects beside: a plan as text.
std::vector<std::string> plan_text(const offload::Ruleset &rules)
{
    offload::Host host;
    for (const auto *name : {"eth0", "eth1", "lan0", "wan0", "docker0"})
        host.interfaces.push_back({.name = name, .forwarding4 = true, .forwarding6 = true});
    for (const auto *text : {"192.0.2.1/32", "127.0.0.0/8", "2001:db8::1/128"})
        host.local.push_back(match::range_of(*Prefix::parse(text)));
    host.local = match::normalized(host.local);
    const auto plan = offload::plan(rules, host);
    std::vector<std::string> out;
    for (const auto &d : plan.decisions) {
        out.push_back(text_of(d.rule) + " if " + std::to_string(d.conditions));
        for (const auto o : d.counts)
            out.back() += ", counts for " + plan.origins[o].chain + " " +
                          std::to_string(plan.origins[o].number);
    }
    return out;
}

} // namespace

TEST_CASE("rules of efw come back from iptables as they were, also through the kernel")
{
    const unsigned rounds = test::environment("EVNF_ROUNDS", 12);
    model::Random random(7);
    std::size_t tried = 0;
    for (unsigned round = 0; round < rounds; ++round)
        for (const int family : {4, 6}) {
            const auto rules = some_rules(
                random, [&](const auto &r) { return bool(export_iptables(r, family)); }, family);
            const auto text = export_iptables(rules, family);
            REQUIRE(text);
            const std::string ip = family == 4 ? "iptables" : "ip6tables";
            CHECK(imported(*text, "", ip) == texts(rules));
            for (const std::string variant : {"-nft", "-legacy"}) {
                enter_new_namespace();
                load(ip + variant + "-restore", *text);
                CHECK(imported(output({ip + variant + "-save"}), "EFW", ip) == texts(rules));
            }
            tried += rules.size();
        }
    CHECK(tried > rounds * 33);
}

TEST_CASE("rules of efw come back from nft as they were, also through the kernel")
{
    const unsigned rounds = test::environment("EVNF_ROUNDS", 12);
    model::Random random(8);
    std::size_t tried = 0;
    for (unsigned round = 0; round < rounds; ++round) {
        const auto rules = some_rules(
            random, [](const auto &r) { return bool(export_nft(r)); }, 0);
        const auto text = export_nft(rules);
        REQUIRE(text);
        CHECK(imported(*text, "") == texts(rules));
        enter_new_namespace();
        load("nft -j -f -", *text);
        CHECK(imported(output({"nft", "-j", "list", "ruleset"}), "") == texts(rules));
        tried += rules.size();
    }
    CHECK(tried > rounds * 33);
}

TEST_CASE("what well-known tools write is planned the same once the kernel has had it")
{
    const std::string folder = TESTS_DATA "/netfilter/";
    for (const auto *name : {"docker", "fail2ban", "ufw", "router"})
        for (const std::string variant : {"nft", "legacy"}) {
            INFO(name << " " << variant);
            const std::string text = file_text(folder + name + ".iptables");
            const auto written = offload::parse_iptables_save(text, 4, name);
            REQUIRE(written);
            enter_new_namespace();
            load("iptables-" + variant + "-restore", text);
            const auto saved =
                offload::parse_iptables_save(output({"iptables-" + variant + "-save"}), 4, name);
            REQUIRE(saved);
            CHECK(plan_text(*saved) == plan_text(*written));
            const auto live = offload::read_live();
            REQUIRE(live);
            CHECK(plan_text(*live) == plan_text(*written));
            CHECK(plan_text(*written).size() > 3);
        }
    enter_new_namespace();
    load("nft -f -", file_text(folder + "firewalld.nft"));
    const std::string listed = output({"nft", "-j", "list", "ruleset"});
    const auto first = offload::parse_nft_json(listed);
    REQUIRE(first);
    enter_new_namespace();
    load("nft -j -f -", listed);
    const auto again = offload::parse_nft_json(output({"nft", "-j", "list", "ruleset"}));
    REQUIRE(again);
    CHECK(plan_text(*again) == plan_text(*first));
    CHECK(plan_text(*first).size() > 10);
}
