// SPDX-License-Identifier: GPL-2.0-or-later
#include <catch2/catch.hpp>
#include <iostream>
#include <random>

#include "support/random_rules.hpp"
#include "vnfs/efw/export_rules.hpp"
#include "vnfs/efw/foreign_rules.hpp"
#include "vnfs/efw/offload/plan.hpp"

using namespace evnf;
using namespace evnf::efw;
using offload::Packet;

namespace
{

std::string table(const std::string &rules, const std::string &policy = "ACCEPT")
{
    return "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD " + policy +
           " [0:0]\n:OUTPUT ACCEPT [0:0]\n:A - [0:0]\n:B - [0:0]\n" + rules + "COMMIT\n";
}

Import taken(const std::string &text, const std::string &chain = "")
{
    auto r = read_foreign_rules(text, "rules", {.from = {}, .chain = chain});
    if (!r)
        FAIL(r.error().message());
    return *r;
}

std::vector<std::string> texts(const Import &import)
{
    std::vector<std::string> out;
    for (const auto &r : import.rules)
        out.push_back(text_of(r.rule));
    return out;
}

bool allows(const match::Match &m, const Packet &p)
{
    const bool ports = p.protocol == 6 || p.protocol == 17 || p.protocol == 132;
    const bool icmp = p.protocol == (p.family == 4 ? 1 : 58);
    return (!m.family || m.family == p.family) && m.src.allows(p.src) && m.dst.allows(p.dst) &&
           m.protocol.allows(p.protocol) && (ports || !(m.sport.asked() || m.dport.asked())) &&
           m.sport.allows(p.sport) && m.dport.allows(p.dport) && (icmp || !m.icmp.asked()) &&
           m.icmp.allows(p.icmp) &&
           (!m.tcp_flags.asked() || (p.protocol == 6 && m.tcp_flags.allows(p.tcp_flags))) &&
           m.in.allows(p.in) && m.dscp.allows(p.dscp) && m.length.allows(p.length) &&
           (!m.fragment.asked() || m.fragment.allows(0));
}

// The plain model: a packet's way through a chain. Empty: it falls off the end.
class Model
{
public:
    Model(const offload::Table &table, const Packet &packet) : table_(table), packet_(packet) {}

    // "*": it depends on what came before, a limit.
    std::string chain(const std::string &name, int depth = 0)
    {
        const auto it = std::find_if(table_.chains.begin(), table_.chains.end(),
                                     [&](const auto &c) { return c.name == name; });
        if (depth > 60)
            return "slow";
        for (const auto &rule : it->rules) {
            std::string verdict = this->rule(rule, depth);
            if (verdict == "return")
                return "";
            if (verdict.starts_with("goto "))
                return chain(verdict.substr(5), depth + 1);
            if (!verdict.empty())
                return verdict;
        }
        return "";
    }

private:
    std::string rule(const offload::Rule &rule, int depth)
    {
        std::string verdict;
        for (const auto &step : rule.steps) {
            if (const auto *is = std::get_if<offload::IsOneOf>(&step); is && is->settled.empty()) {
                if (std::none_of(is->matches.begin(), is->matches.end(),
                                 [&](const auto &m) { return allows(m, packet_); }))
                    return "";
            } else if (const auto *u = std::get_if<offload::Unknown>(&step); u && u->limit) {
                verdict = "*";
            } else if (const auto *e = std::get_if<offload::Effect>(&step)) {
                verdict = e->kind == offload::Effect::Kind::log ? "*" : "slow";
            } else if (const auto *d = std::get_if<offload::Decide>(&step)) {
                if (verdict.empty())
                    verdict = this->decide(*d, depth);
            } else if (!std::holds_alternative<offload::Count>(step)) {
                verdict = "slow";
            }
        }
        return verdict;
    }

    std::string decide(const offload::Decide &d, int depth)
    {
        switch (d.verdict) {
        case offload::Verdict::accept:
            return "accept";
        case offload::Verdict::drop:
            return "drop";
        case offload::Verdict::return_to_caller:
            return "return";
        case offload::Verdict::jump:
            return chain(d.chain, depth + 1);
        case offload::Verdict::go_to:
            return "goto " + d.chain;
        case offload::Verdict::next_rule:
            return "";
        }
        return "";
    }

    const offload::Table &table_;
    const Packet &packet_;
};

std::string decided(const Import &import, const Packet &p)
{
    for (const auto &r : import.rules)
        if (r.rule.action != EFW_COUNT && !r.rule.limit && allows(r.rule.match, p))
            return std::string(action_text(r.rule.action));
    return "none";
}

Packet any_packet(std::mt19937 &random, int family)
{
    test::RulesWriter values(static_cast<unsigned>(random()));
    auto address = [&] {
        const std::string text = values.address(family);
        return *Address::parse(text.substr(0, text.find('/')));
    };
    static constexpr std::uint8_t protocols[] = {1, 6, 6, 17, 17, 58, 132, 47};
    static constexpr std::uint16_t ports[] = {0,     1,     40,    80,    120,  1000,
                                              20000, 20040, 30000, 40000, 65535};
    auto any = [&](const auto &list) { return list[random() % std::size(list)]; };
    Packet p;
    p.family = family;
    p.src = address();
    p.dst = address();
    p.protocol = any(protocols);
    p.sport = any(ports);
    p.dport = any(ports);
    p.icmp = static_cast<std::uint16_t>((random() % 2 ? 8 : 128) << 8 | random() % 2);
    p.tcp_flags = static_cast<std::uint8_t>(random());
    p.in = random() % 2 ? "r0" : "r2";
    p.dscp = static_cast<std::uint8_t>(random() % 64);
    p.length = static_cast<std::uint16_t>(20 + random() % 1500);
    return p;
}

} // namespace

TEST_CASE("a chain is taken with all that it jumps to")
{
    const auto i = taken(table("-A FORWARD -s 10.0.0.0/8 -p tcp -j A\n"
                               "-A FORWARD -i eth+ -g B\n"
                               "-A A -p tcp -m tcp --dport 22 -m comment --comment \"a \\\"b\\\"\" "
                               "-j ACCEPT\n"
                               "-A A -p tcp -m multiport --dports 80,443 -j DROP\n"
                               "-A B -p udp -m udp --dport 53 -m limit --limit 10/sec -j ACCEPT\n"
                               "-A B -p tcp -j REJECT --reject-with tcp-reset\n"
                               "-A B -p icmp\n",
                               "DROP"));
    CHECK(i.refused.empty());
    CHECK(i.chain == "filter/FORWARD");
    CHECK(texts(i) ==
          std::vector<std::string>{"ip saddr 10.0.0.0/8 tcp dport 22 accept comment \"a 'b'\"",
                                   "ip saddr 10.0.0.0/8 tcp dport { 80, 443 } drop",
                                   "in eth* ip udp dport 53 limit rate 10/second accept",
                                   "in eth* ip tcp reject", "in eth* icmp count", "ip drop"});
}

TEST_CASE("a chain that ends early for some packets")
{
    const auto i = taken(table("-A FORWARD -j A\n-A FORWARD -p udp -j DROP\n"
                               "-A A -s 10.0.0.0/8 -j RETURN\n-A A -p tcp -j DROP\n"));
    CHECK(texts(i) == std::vector<std::string>{"ip saddr 10.0.0.0/8 udp drop",
                                               "ip saddr 10.0.0.0/8 accept", "ip tcp drop",
                                               "ip udp drop", "ip accept"});
    // Without a policy there is nothing that says what becomes of it.
    CHECK(texts(taken("*filter\n:X - [0:0]\n-A X -p tcp -j RETURN\n-A X -j DROP\nCOMMIT\n")) ==
          std::vector<std::string>{"ip tcp slow", "ip drop"});
}

TEST_CASE("what efw has no word for has its place and cause, and is netfilter's")
{
    const auto i = taken(table("-A FORWARD -p tcp -m tcp --dport 22 -m conntrack --ctstate NEW -j "
                               "ACCEPT\n"
                               "-A FORWARD -s 10.0.0.0/8 -j LOG --log-prefix x\n"
                               "-A FORWARD -p tcp -j REJECT --reject-with icmp-port-unreachable\n"
                               "-A FORWARD -o eth0 -j DROP\n"));
    REQUIRE(i.refused.size() == 4);
    CHECK(i.refused[0].place.line == 7);
    CHECK(i.refused[0].place.column == 50);
    CHECK_THAT(i.refused[0].why, Catch::Contains("state of a connection"));
    CHECK(i.refused[1].place.column == 26);
    CHECK_THAT(i.refused[2].why, Catch::Contains("icmp-port-unreachable"));
    CHECK_THAT(i.refused[3].why, Catch::Contains("-o eth0"));
    CHECK(texts(i) == std::vector<std::string>{"ip tcp dport 22 slow", "ip saddr 10.0.0.0/8 slow",
                                               "ip tcp slow", "ip slow"});
}

TEST_CASE("nft: places in JSON, maps, alternatives")
{
    const std::string text = R"({"nftables": [
 {"table": {"family": "inet", "name": "t"}},
 {"chain": {"family": "inet", "table": "t", "name": "c", "type": "filter", "hook": "input",
  "prio": 0, "policy": "drop"}},
 {"rule": {"family": "inet", "table": "t", "chain": "c", "comment": "web", "expr": [
  {"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": {"set": ["tcp", "udp"]}}},
  {"match": {"op": "==", "left": {"payload": {"protocol": "th", "field": "dport"}}, "right": 53}},
  {"accept": null}]}},
 {"rule": {"family": "inet", "table": "t", "chain": "c", "expr": [
  {"vmap": {"key": {"payload": {"protocol": "tcp", "field": "dport"}}, "data": {"set":
   [[22, {"accept": null}], [23, {"drop": null}]]}}}]}},
 {"rule": {"family": "inet", "table": "t", "chain": "c", "expr": [
  {"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": "192.0.2.1"}},
  {"masquerade": null}]}}]})";
    const auto i = taken(text);
    CHECK(texts(i) ==
          std::vector<std::string>{"protocol { tcp, udp } dport 53 accept comment \"web\"",
                                   "tcp dport 22 accept", "tcp dport 23 drop",
                                   "ip saddr 192.0.2.1 slow", "drop"});
    REQUIRE(i.refused.size() == 1);
    CHECK(i.refused[0].place.line == 14);
    CHECK(i.refused[0].place.column == 3);
}

TEST_CASE("which chain is to be said if there are several")
{
    const std::string text = table("-A INPUT -p tcp -j DROP\n-A FORWARD -p udp -j DROP\n");
    const auto r = read_foreign_rules(text, "rules", {});
    REQUIRE_FALSE(r);
    CHECK(r.error().what == "rules: there are several chains: say which one, by --chain: "
                            "filter/INPUT, filter/FORWARD");
    CHECK(texts(taken(text, "filter/FORWARD")).front() == "ip udp drop");
    CHECK_FALSE(read_foreign_rules(text, "rules", {.from = {}, .chain = "NONE"}));
    CHECK_FALSE(read_foreign_rules("tcp dport 80 accept\n", "rules", {}));
}

TEST_CASE("efw's rules as TOML and JSON")
{
    CHECK(texts(taken("[efw]\nrules = [\"tcp dport 80 accept\",\n { rule = \"drop\", owner = "
                      "\"x\" }]\n")) == std::vector<std::string>{"tcp dport 80 accept", "drop"});
    CHECK(texts(taken(R"({"rules": [{"rule": "udp accept"}, "drop"]})")) ==
          std::vector<std::string>{"udp accept", "drop"});
    const auto r =
        read_foreign_rules("[efw]\nrules = [\n  \"tcp dprt 80 accept\"]\n", "x.toml", {});
    REQUIRE_FALSE(r);
    CHECK_THAT(r.error().what, Catch::StartsWith("x.toml:3:3: 'dprt' is not a word"));
}

TEST_CASE("what a format has no word for is refused")
{
    const auto refused = [](const std::string &text, bool nft) {
        const auto rule = parse_rule(text);
        REQUIRE(rule);
        const auto r = nft ? export_nft({*rule}) : export_iptables({*rule}, 4);
        return r ? std::string("taken") : r.error().what;
    };
    CHECK_THAT(refused("vlan 7 drop", false), Catch::Contains("VLAN"));
    CHECK_THAT(refused("vlan 7 drop", true), Catch::Contains("VLAN"));
    CHECK_THAT(refused("saddr @x drop", true), Catch::Contains("sets"));
    CHECK_THAT(refused("saddr { 10.0.0.1, 10.0.0.3 } drop", false), Catch::Contains("addresses"));
    CHECK(refused("saddr { 10.0.0.1, 10.0.0.3 } drop", true) == "taken");
    CHECK_THAT(refused("reject", false), Catch::Contains("protocol != tcp"));
    CHECK_THAT(refused("tcp accept name \"x\"", true), Catch::Contains("name"));
    CHECK_THAT(refused("tcp log accept", false), Catch::Contains("logs and decides"));
    CHECK(refused("ip6 saddr ::1 drop", false) == "taken"); // not of iptables' packets
}

TEST_CASE("imported rules decide as the chain does, or leave it to netfilter")
{
    std::mt19937 random(11);
    std::size_t compared = 0, certain = 0, large = 0;
    for (unsigned seed = 1; seed <= 1500; ++seed) {
        const int family = seed % 3 ? 4 : 6;
        const std::string text = test::RulesWriter(seed).iptables(family, false);
        const auto rules = offload::parse_iptables_save(text, family);
        REQUIRE(rules);
        const offload::Table &filter = rules->tables.at(0);
        const auto import = import_rules(*rules, "filter/FORWARD");
        if (!import) {
            ++large;
            continue;
        }
        const auto base = std::find_if(filter.chains.begin(), filter.chains.end(),
                                       [](const auto &c) { return c.name == "FORWARD"; });
        for (int i = 0; i < 100; ++i) {
            const Packet p = any_packet(random, family);
            std::string wanted = Model(filter, p).chain("FORWARD");
            if (wanted == "*")
                continue;
            if (wanted.empty())
                wanted = base->policy_drop ? "drop" : "accept";
            const std::string got = decided(*import, p);
            ++compared;
            certain += got == "accept" || got == "drop";
            if (got == wanted || (wanted == "slow" && got == "reject") || got == "slow")
                continue;
            INFO(text << "packet " << p.src.text() << " " << p.dst.text() << " protocol "
                      << int(p.protocol) << " ports " << p.sport << " " << p.dport << " in "
                      << p.in);
            for (const auto &rule : texts(*import))
                UNSCOPED_INFO(rule);
            CHECK(got == wanted);
        }
    }
    std::cout << compared << " packets compared, " << certain << " decided, " << large
              << " rulesets too large\n";
    CHECK(compared > 50000);
    CHECK(certain > 5000);
    CHECK(large < 100);
}
