// SPDX-License-Identifier: GPL-2.0-or-later
// What is said of single packets against the kernel's own netfilter: random rules, packets at
// the edges of those rules. Where a verdict is said it must be what comes out, and the rules
// that are said to end the chains must be those whose counters move, and no others.
#include <iostream>
#include <set>

#include "support/offload_packets.hpp"
#include "support/random_rules.hpp"
#include "vnfs/efw/offload/judge.hpp"

using namespace evnf;
using namespace evnf::test;

namespace
{

using Flow = std::tuple<std::uint8_t, Address, Address, std::uint16_t, std::uint16_t>;

struct Totals {
    std::size_t packets = 0, depends = 0, counters = 0, leaving = 0, refused = 0;
    std::map<offload::Fate, std::size_t> fates;
};

bool all_alike(const offload::Judgement &j)
{
    const auto &first = j.cases.front();
    return j.complete && std::all_of(j.cases.begin(), j.cases.end(), [&](const auto &c) {
               return c.fate == first.fate && c.path == first.path;
           });
}

// Rules whose counter moves exactly if they end their chain: "counter drop".
std::set<std::string> ending(const offload::Ruleset &rules)
{
    std::set<std::string> out;
    for (const auto &t : rules.tables)
        for (const auto &c : t.chains)
            for (const auto &r : c.rules) {
                const auto n = r.steps.size();
                if (n < 2 || !std::holds_alternative<offload::Count>(r.steps[n - 2]))
                    continue;
                const auto *d = std::get_if<offload::Decide>(&r.steps[n - 1]);
                if (d && (d->verdict == offload::Verdict::accept ||
                          d->verdict == offload::Verdict::drop))
                    out.insert(std::to_string(static_cast<int>(t.family)) + t.name +
                               (t.legacy ? " legacy " : " ") + c.name + " " +
                               std::to_string(r.number));
            }
    return out;
}

bool within(const Address &a, std::initializer_list<const char *> prefixes)
{
    return std::any_of(prefixes.begin(), prefixes.end(), [&](const char *prefix) {
        const auto parsed = Prefix::parse(prefix);
        return parsed && parsed->contains(a);
    });
}

// Of a network that the router is in itself; all others are behind the server.
bool is_near(const Address &a)
{
    return within(a, {"10.1.0.0/24", "10.1.1.0/24", "10.1.2.0/24", "2001:db8::/64",
                      "2001:db8:1::/64", "2001:db8:2::/64"});
}

// Whether it gets a fate to be seen. Which sources IPv6 refuses its routes do not say.
bool can_be_sent(const offload::Packet &p, const match::Field<Address> &own)
{
    const auto special = [&](const Address &a) {
        return a.is_v4() ? within(a, {"0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3"})
                         : within(a, {"::/96", "ff00::/8", "fe80::/10"});
    };
    const bool routed = p.family == 4 || (!special(p.src) && !own.allows(p.src));
    return routed && !special(p.dst) && (own.allows(p.dst) || !is_near(p.dst));
}

void compare(NetfilterLab &lab, unsigned seed, unsigned packets, Totals &totals)
{
    lab.watch();
    const auto rules = offload::read_live();
    if (!rules)
        FAIL(rules.error().message());
    const auto host = offload::read_host({"r0", "r2"});
    REQUIRE(host);
    const match::Field<Address> own{host->local};
    const offload::Judge judge(*rules, *host);
    Packets random(*rules, seed);
    lab.forget();
    const auto terminal = ending(*rules);
    auto expected = counters_of(*rules, false);
    std::set<Flow> flows;
    std::map<std::uint32_t, std::pair<Sent, offload::Case>> sent;
    std::map<std::uint32_t, std::string> deciders;
    for (unsigned i = 0; i < packets; ++i) {
        Sent s = random.next(i % 3 ? 4 : 6);
        s.bad_checksum = false;
        const auto &p = s.packet;
        // One packet of each flow: the next would meet what the kernel makes of the first.
        if (!can_be_sent(p, own) || flows.contains({p.protocol, p.src, p.dst, p.sport, p.dport}) ||
            flows.contains({p.protocol, p.dst, p.src, p.dport, p.sport}))
            continue;
        const auto way = offload::way_of(p);
        const auto j = judge.judge(p, offload::possible_ct_states(p, host->expectations), way);
        REQUIRE_FALSE(j.cases.empty());
        if (!all_alike(j) || j.cases.front().fate == offload::Fate::unknown) {
            ++totals.depends;
            continue;
        }
        flows.insert({p.protocol, p.src, p.dst, p.sport, p.dport});
        const auto &c = j.cases.front();
        const auto number = static_cast<std::uint32_t>(sent.size() + 1);
        for (const auto origin : c.path)
            if (const auto key = counter_key(judge.origins()[origin]); terminal.contains(key))
                if (const auto it = expected.find(key); it != expected.end())
                    ++it->second;
        if (c.decider != offload::no_origin)
            deciders[number] =
                judge.origins()[c.decider].chain + ": " + judge.origins()[c.decider].text;
        lab.send(numbered(s, number), s.link);
        sent.emplace(number, std::pair{std::move(s), c});
        ++totals.fates[c.fate];
        totals.leaving += way.out == "r1";
        totals.refused += !way.none.empty();
    }
    NetfilterLab::settle();
    for (const std::string set : {"v4", "v6"}) {
        const auto delivered = lab.seen("r", set), arrived = lab.seen("s", set);
        for (const auto &[n, what] : sent) {
            const auto &p = what.first.packet;
            if ((p.family == 4) != (set == "v4"))
                continue;
            INFO(p.src.text() << " -> " << p.dst.text() << " protocol " << +p.protocol << " ports "
                              << p.sport << " " << p.dport << " flags " << +p.tcp_flags << " icmp "
                              << p.icmp << " in " << p.in << ", said: "
                              << static_cast<int>(what.second.fate) << " by " << deciders[n]);
            const bool accept = what.second.fate == offload::Fate::accept, here = own.allows(p.dst);
            CHECK(delivered.contains(n) == (accept && here));
            CHECK(arrived.contains(n) == (accept && !here));
        }
    }
    totals.packets += sent.size();
    const auto after = offload::read_live();
    REQUIRE(after);
    const auto counted = counters_of(*after, false);
    for (const auto &key : terminal)
        if (const auto it = expected.find(key); it != expected.end()) {
            INFO(key);
            CHECK(counted.at(key) == it->second);
            ++totals.counters;
        }
}

void run(const char *what,
         const std::function<std::string(RulesWriter &, NetfilterLab &, bool)> &load)
{
    const unsigned rounds = environment("EVNF_ROUNDS", 24),
                   packets = environment("EVNF_PACKETS", 1500), first = environment("EVNF_SEED", 1);
    Totals totals;
    for (unsigned seed = first; seed < first + rounds; ++seed) {
        NetfilterLab lab; // conntrack knows no connection of another round
        lab.rp_filter(static_cast<int>(seed % 3));
        RulesWriter writer(seed);
        const std::string text = load(writer, lab, seed % 4 == 3);
        if (text.empty())
            continue;
        INFO("seed " << seed << "\n" << text);
        compare(lab, seed, packets, totals);
    }
    std::cout << what << ": " << totals.packets << " packets said and sent, accepted "
              << totals.fates[offload::Fate::accept] << ", dropped "
              << totals.fates[offload::Fate::drop] << ", rejected "
              << totals.fates[offload::Fate::reject] << "; not certain " << totals.depends
              << "; counters compared " << totals.counters << "; with a route " << totals.leaving
              << ", refused by routing " << totals.refused << "\n";
    CHECK(totals.leaving > 100);
    CHECK(totals.refused > 10);
    CHECK(totals.packets > totals.depends / 10);
    CHECK(totals.fates[offload::Fate::drop] > 100);
    CHECK(totals.fates[offload::Fate::accept] > 10); // most of nft's rules drop
}

std::string by_iptables(const std::string &variant, RulesWriter &w, bool nat)
{
    const std::string v4 = w.iptables(4, nat), v6 = w.iptables(6, nat);
    return NetfilterLab::load("iptables-" + variant + "-restore", v4) ||
                   NetfilterLab::load("ip6tables-" + variant + "-restore", v6)
               ? std::string()
               : v4 + v6;
}

} // namespace

TEST_CASE("what is said of a packet holds against iptables-legacy")
{
    run("legacy",
        [](RulesWriter &w, NetfilterLab &, bool nat) { return by_iptables("legacy", w, nat); });
}

TEST_CASE("what is said of a packet holds against iptables-nft")
{
    run("iptables-nft",
        [](RulesWriter &w, NetfilterLab &, bool nat) { return by_iptables("nft", w, nat); });
}

TEST_CASE("what is said of a packet holds against nftables")
{
    run("nft", [](RulesWriter &w, NetfilterLab &, bool) {
        std::string text = w.nft();
        return NetfilterLab::load_nft(text) ? text : std::string();
    });
}
