// SPDX-License-Identifier: GPL-2.0-or-later
#include <catch2/catch.hpp>
#include <chrono>
#include <iostream>
#include <random>

#include "vnfs/efw/offload/plan.hpp"

using namespace evnf;
using namespace evnf::efw::offload;

namespace
{

Host router()
{
    Host h;
    h.interfaces = {{.name = "eth0", .forwarding4 = true, .forwarding6 = true},
                    {.name = "eth1", .forwarding4 = true, .forwarding6 = true}};
    for (const auto *text : {"192.0.2.1/32", "127.0.0.0/8", "2001:db8::1/128"})
        h.local.push_back(match::range_of(*Prefix::parse(text)));
    h.local = match::normalized(h.local);
    return h;
}

Ruleset saved(const std::string &text, int family = 4)
{
    auto r = parse_iptables_save(text, family, "rules");
    if (!r)
        FAIL(r.error().message());
    return *r;
}

std::string filter(const std::string &rules, const std::string &input = "ACCEPT")
{
    return "*filter\n:INPUT " + input +
           " [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
           ":USER - [0:0]\n" +
           rules + "COMMIT\n";
}

// A TCP SYN to the host, unless said otherwise.
Packet packet(const std::string &src, std::uint16_t dport, const std::string &dst = "192.0.2.1")
{
    Packet p;
    p.src = *Address::parse(src);
    p.dst = *Address::parse(dst);
    p.family = p.src.family();
    p.protocol = 6;
    p.sport = 1024;
    p.dport = dport;
    p.tcp_flags = 2;
    p.in = "eth0";
    p.length = 40;
    p.holds = 0xff;
    return p;
}

std::string decided(const Plan &plan, const Packet &p)
{
    const auto *d = decide(plan, p);
    return !d ? "slow" : d->rule.action == EFW_DROP ? "drop" : "accept";
}

std::vector<std::string> counted(const Plan &plan, const Packet &p)
{
    std::vector<std::string> out;
    if (const auto *d = decide(plan, p))
        for (const auto c : d->counts)
            out.push_back(plan.origins[c].text);
    return out;
}

std::string large_blocklist(int rules)
{
    std::string text;
    for (int i = 0; i < rules; ++i)
        text += "[0:0] -A INPUT -s 198." + std::to_string(i >> 16) + "." +
                std::to_string(i >> 8 & 255) + "." + std::to_string(i & 255) + "/32 -j DROP\n";
    return text;
}

// One change of a text: a byte, a piece taken out, doubled, or a word put in.
std::string mutated(std::string text, std::mt19937 &random)
{
    static const char *const words[] = {
        "!",  "-j",     "-m",       "{",  "[]", "null",     "\"",
        "\\", "COMMIT", "-A INPUT", "@x", "\n", "\"set\":", "18446744073709551616",
        "-1", "1e99",   "\xff"};
    for (auto n = 1 + random() % 3; n; --n) {
        const std::size_t at = random() % (text.size() + 1);
        const std::size_t size = std::min<std::size_t>(random() % 12, text.size() - at);
        switch (random() % 4) {
        case 0:
            if (at < text.size())
                text[at] = static_cast<char>(random());
            break;
        case 1:
            text.erase(at, size);
            break;
        case 2:
            text.insert(at, text.substr(random() % (text.size() + 1), random() % 20));
            break;
        default:
            text.insert(at, words[random() % std::size(words)]);
        }
    }
    return text;
}

const char *const listing = R"({"nftables": [
 {"metainfo": {"version": "1.0.6"}},
 {"table": {"family": "inet", "name": "t", "handle": 1}},
 {"set": {"family": "inet", "name": "bad", "table": "t", "type": "ipv4_addr", "handle": 3,
  "flags": ["interval"], "elem": [{"prefix": {"addr": "10.0.0.0", "len": 8}}, "198.51.100.7"]}},
 {"map": {"family": "inet", "name": "v", "table": "t", "type": "inet_service", "handle": 6,
  "map": "verdict", "elem": [[22, {"accept": null}], [{"range": [23, 25]}, {"drop": null}]]}},
 {"chain": {"family": "inet", "table": "t", "name": "in", "handle": 2, "type": "filter",
  "hook": "input", "prio": 0, "policy": "accept"}},
 {"chain": {"family": "inet", "table": "t", "name": "u", "handle": 9}},
 {"rule": {"family": "inet", "table": "t", "chain": "in", "handle": 4, "expr": [{"match": {"op":
  "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": "@bad"}},
  {"counter": {"packets": 7, "bytes": 99}}, {"drop": null}]}},
 {"rule": {"family": "inet", "table": "t", "chain": "in", "handle": 5, "expr": [{"vmap": {"key":
  {"payload": {"protocol": "tcp", "field": "dport"}}, "data": "@v"}}]}},
 {"rule": {"family": "inet", "table": "t", "chain": "in", "handle": 6, "expr": [{"match": {"op":
  "in", "left": {"payload": {"protocol": "tcp", "field": "flags"}}, "right": "fin"}},
  {"jump": {"target": "u"}}]}},
 {"rule": {"family": "inet", "table": "t", "chain": "u", "handle": 7, "expr": [{"drop": null}]}}
]})";

} // namespace

TEST_CASE("a drop is offloaded with all counters that its packets move")
{
    const auto p =
        plan(saved(filter("-A INPUT -p tcp -j USER\n"
                          "-A INPUT -s 10.0.0.0/8 -j DROP\n"
                          "-A USER -s 10.1.0.0/16\n"
                          "-A USER ! -s 10.2.0.0/16 -p tcp -m tcp --dport 80 -j DROP\n")),
             router());
    CHECK(decided(p, packet("10.1.0.1", 80)) == "drop");
    CHECK(counted(p, packet("10.1.0.1", 80)) ==
          std::vector<std::string>{"-A INPUT -p tcp -j USER", "-A USER -s 10.1.0.0/16",
                                   "-A USER ! -s 10.2.0.0/16 -p tcp -m tcp --dport 80 -j DROP"});
    CHECK(counted(p, packet("10.2.0.1", 80)).back() == "-A INPUT -s 10.0.0.0/8 -j DROP");
    CHECK(decided(p, packet("198.51.100.1", 81)) == "slow"); // accepted: for the stack
}

TEST_CASE("what has other effects, or is not known, shadows what follows")
{
    for (const auto *first : {"-A INPUT -s 10.1.0.0/16 -j LOG",
                              "-A INPUT -s 10.1.0.0/16 -m limit "
                              "--limit 1/sec -j ACCEPT",
                              "-A INPUT -s 10.1.0.0/16 -m foo --bar 1"}) {
        const auto p = plan(
            saved(filter(first + std::string("\n-A INPUT -s 10.0.0.0/8 -j DROP\n"))), router());
        INFO(first);
        CHECK(decided(p, packet("10.1.0.1", 80)) == "slow");
        CHECK(decided(p, packet("10.2.0.1", 80)) == "drop");
        CHECK(p.origins[1].state == Origin::State::left);
        CHECK(p.origins[2].state == Origin::State::in_part);
    }
}

TEST_CASE("established connections first do not keep later drops from the fast path")
{
    const auto p =
        plan(saved(filter("-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n"
                          "-A INPUT -m conntrack --ctstate INVALID -j DROP\n"
                          "-A INPUT -s 10.0.0.0/8 -j DROP\n")),
             router());
    Packet syn = packet("10.0.0.1", 80);
    REQUIRE(decided(p, syn) == "drop");
    CHECK(decide(p, syn)->conditions == (EFW_WITHOUT_CONNTRACK | EFW_RIGHT_CHECKSUM));
    syn.holds = EFW_RIGHT_CHECKSUM; // of a connection
    CHECK(decided(p, syn) == "slow");
    Packet ack = packet("10.0.0.1", 80);
    ack.tcp_flags = 16; // new or invalid, depending on a setting
    CHECK(decided(p, ack) == "slow");
    Packet ping = packet("10.0.0.1", 0);
    ping.protocol = 1;
    CHECK(decided(p, ping) == "slow");
}

TEST_CASE("a packet is accepted only where nothing but the forward path can see it")
{
    const auto rules = saved(filter("-A FORWARD -p udp -j DROP\n"));
    Host host = router();
    const auto ahead = packet("198.51.100.1", 80, "203.0.113.1");
    CHECK(decided(plan(rules, host), ahead) == "accept");
    CHECK(decide(plan(rules, host), ahead)->conditions == EFW_FORWARDED);
    CHECK(decided(plan(rules, host), packet("198.51.100.1", 80)) == "slow");
    CHECK(decided(plan(rules, host), packet("198.51.100.1", 80, "224.0.0.5")) == "slow");
    host.interfaces[0].forwarding4 = false;
    CHECK(decided(plan(rules, host), ahead) == "slow");
    host = router();
    host.interfaces[0].rp_filter = 1;
    CHECK(decide(plan(rules, host), ahead)->conditions == (EFW_FORWARDED | EFW_SOURCE_ROUTED_BACK));
    for (const auto flag : {&Host::conntrack, &Host::ipsec}) {
        host = router();
        host.*flag = true;
        CHECK(decided(plan(rules, host), ahead) == "slow");
    }
    host = router();
    host.interfaces[0].enslaved = true;
    CHECK(decided(plan(rules, host), ahead) == "slow");
    const auto nat = saved(filter("") + "*nat\n:POSTROUTING ACCEPT [0:0]\nCOMMIT\n");
    CHECK(decided(plan(nat, router()), ahead) == "slow");
    const auto out = saved(filter("-A FORWARD -o eth1 -j ACCEPT\n"));
    CHECK(decided(plan(out, router()), ahead) == "slow");
}

TEST_CASE("chains: goto, return, loops")
{
    const auto p = plan(saved(filter("-A INPUT -p tcp -g USER\n"
                                     "-A INPUT -j DROP\n"
                                     "-A USER -s 10.0.0.0/8 -j RETURN\n"
                                     "-A USER -p tcp -m tcp --dport 80 -j DROP\n",
                                     "DROP")),
                        router());
    CHECK(counted(p, packet("10.0.0.1", 80)).back() == "policy drop"); // back to the base chain
    CHECK(counted(p, packet("11.0.0.1", 80)).back().ends_with("--dport 80 -j DROP"));
    const auto loop =
        plan(saved(filter("-A INPUT -j USER\n-A INPUT -j DROP\n-A USER -j USER\n")), router());
    CHECK(decided(loop, packet("10.0.0.1", 80)) == "slow");
}

TEST_CASE("a plan that would be too large leaves the rest to netfilter")
{
    // Each counts all packets but a few: no two of 2^40 sets of counters are alike.
    std::string rules;
    for (int i = 0; i < 40; ++i)
        rules += "-A INPUT ! -s 10." + std::to_string(i) + ".0.0/16\n";
    const auto p = plan(saved(filter(rules + "-A INPUT -j DROP\n")), router());
    CHECK_FALSE(p.complete);
    CHECK(p.decisions.size() < max_decisions + 1000);
}

TEST_CASE("nft: named sets, maps and flags")
{
    const auto rules = parse_nft_json(listing);
    REQUIRE(rules);
    REQUIRE(rules->tables.at(0).chains.at(0).rules.size() == 3);
    CHECK(rules->tables[0].chains[0].rules[0].counters == Counters{7, 99});
    const auto p = plan(*rules, router());
    CHECK(decided(p, packet("10.9.0.1", 80)) == "drop");
    CHECK(decided(p, packet("198.51.100.7", 80)) == "drop");
    CHECK(decided(p, packet("198.51.100.8", 80)) == "slow");
    CHECK(decided(p, packet("198.51.100.8", 24)) == "drop");
    CHECK(decided(p, packet("198.51.100.8", 22)) == "slow");
    Packet fin = packet("198.51.100.8", 80);
    fin.tcp_flags = 17;
    CHECK(decided(p, fin) == "drop");
    CHECK(report(p)["drop"].get<int>() > 3);
}

TEST_CASE("errors have a place")
{
    const std::pair<const char *, const char *> cases[] = {
        {"-A INPUT -j DROP\n", "rules:1:1: '-A' stands before any table"},
        {"*filter\n:INPUT DROP [0:0]\n-A IN -j DROP\nCOMMIT\n",
         "rules:3:4: there is no chain 'IN'"},
        {"*filter\n:INPUT MAYBE [0:0]\nCOMMIT\n", "rules:2:8: 'MAYBE' is no policy"},
        {"*filter\n:INPUT DROP [0]\nCOMMIT\n", "rules:2:13: '[0]' are no counters"},
        {"*filter\n:INPUT DROP [0:0]\n-A INPUT -m comment --comment \"x\nCOMMIT\n",
         "rules:3:31: a quote is not closed"},
        {"*filter\n:INPUT DROP [0:0]\n", "has no COMMIT"}};
    for (const auto &[text, what] : cases) {
        const auto r = parse_iptables_save(text, 4, "rules");
        REQUIRE_FALSE(r);
        CHECK_THAT(r.error().what, Catch::Contains(what));
    }
    CHECK_FALSE(parse_nft_json("{"));
    CHECK_FALSE(parse_nft_json(R"({"nftables": [{"rule": {"family": "ip"}}]})"));
}

TEST_CASE("nft: a match of the interface that is no match is not known")
{
    for (const std::string match :
         {R"({"op": "!=", "": {"meta": {"key": "oifname"}}, "right": "eth*"})",
          R"({"left": {"meta": {"key": "oifname"}}, "op": "=="})", R"("\"oif\"")", R"(["oif"])"}) {
        INFO(match);
        const auto rules = parse_nft_json(
            R"({"nftables": [{"table": {"family": "ip", "name": "t"}},
                {"chain": {"family": "ip", "table": "t", "name": "f", "hook": "forward",
                           "type": "filter", "prio": 0, "policy": "accept"}},
                {"rule": {"family": "ip", "table": "t", "chain": "f", "expr": [
                    {"match": )" +
            match + R"(}, {"drop": null}]}}]})");
        REQUIRE(rules);
        CHECK(decided(plan(*rules, router()), packet("10.9.0.1", 80)) == "slow");
    }
}

TEST_CASE("no text makes a reader or the planner fail")
{
    std::mt19937 random(5);
    const std::string text = filter(
        "[1:2] -A INPUT -s 10.0.0.0/8 ! -i eth+ -p tcp -m multiport --dports 1,2:3 -m comment "
        "--comment \"a \\\" b\" -j USER\n-A INPUT -m conntrack ! --ctstate NEW -g USER\n"
        "-A USER -m iprange --src-range 1.1.1.1-1.1.1.9 -m dscp --dscp 0x08 -j DROP\n"
        "-A USER -p icmp -m icmp --icmp-type 3/4 -m length --length 5:6 -m mark --mark 1/2 -j "
        "LOG\n");
    std::size_t read = 0;
    const Host host = router();
    for (int i = 0; i < 50000; ++i) {
        if (const auto r = parse_iptables_save(mutated(text, random), i % 2 ? 4 : 6)) {
            ++read;
            if (i % 16 == 0)
                plan(*r, host);
        }
        if (const auto r = parse_nft_json(mutated(listing, random))) {
            ++read;
            if (i % 16 == 0)
                plan(*r, host);
        }
    }
    CHECK(read > 10000);
}

TEST_CASE("ten thousand rules are planned in a moment")
{
    const std::string text = filter("-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT\n" +
                                    large_blocklist(10000));
    const auto begin = std::chrono::steady_clock::now();
    const auto rules = parse_iptables_save(text, 4);
    const auto middle = std::chrono::steady_clock::now();
    REQUIRE(rules);
    const auto p = plan(*rules, router());
    const auto end = std::chrono::steady_clock::now();
    auto ms = [](auto d) {
        return std::chrono::duration_cast<std::chrono::milliseconds>(d).count();
    };
    std::cout << "10,000 rules: read in " << ms(middle - begin) << " ms, planned in "
              << ms(end - middle) << " ms, " << p.decisions.size() << " decisions\n";
    CHECK(p.complete);
    CHECK(p.decisions.size() >= 10000);
    CHECK(decided(p, packet("198.0.39.15", 80)) == "drop");
}
