// SPDX-License-Identifier: GPL-2.0-or-later
// Plans against the kernel's own netfilter: random rules, packets at the edges of those
// rules. What a plan drops netfilter must drop, what it accepts netfilter must forward, and
// the counters that move must be those that the plan names, and no others.
#include <arpa/inet.h>

#include <chrono>
#include <iostream>
#include <map>
#include <sstream>

#include "support/known_rules.hpp"
#include "support/netfilter_lab.hpp"
#include "support/offload_packets.hpp"
#include "support/random_rules.hpp"
#include "vnfs/efw/offload/plan.hpp"

using namespace evnf;
using namespace evnf::test;
namespace offload = evnf::efw::offload;

namespace
{

using Flow = std::tuple<std::uint8_t, Address, Address, std::uint16_t, std::uint16_t>;

// The kernel's own table of connections, each in both directions.
std::set<Flow> tracked()
{
    std::set<Flow> out;
    std::ifstream table("/proc/thread-self/net/nf_conntrack");
    for (std::string line; std::getline(table, line);) {
        std::istringstream words(line);
        std::string word, name;
        unsigned l3 = 0, protocol = 0, port = 0;
        words >> word >> l3 >> name >> protocol;
        Address src, dst;
        while (words >> word) {
            const auto value = word.substr(word.find('=') + 1);
            if (word.starts_with("src="))
                src = *Address::parse(value);
            else if (word.starts_with("dst="))
                dst = *Address::parse(value);
            else if (word.starts_with("sport="))
                port = static_cast<unsigned>(std::stoul(value));
            else if (word.starts_with("dport="))
                out.insert({static_cast<std::uint8_t>(protocol), src, dst,
                            static_cast<std::uint16_t>(port),
                            static_cast<std::uint16_t>(std::stoul(value))});
        }
    }
    return out;
}

// What the fast path would find out about a packet.
std::uint8_t conditions_of(const Sent &s, const std::set<Flow> &flows)
{
    const offload::Packet &p = s.packet;
    std::uint8_t out = 0;
    const bool port_protocol = p.protocol == 6 || p.protocol == 17;
    if (port_protocol && !flows.contains({p.protocol, p.src, p.dst, p.sport, p.dport}))
        out |= EFW_WITHOUT_CONNTRACK;
    if (port_protocol && !s.bad_checksum)
        out |= EFW_RIGHT_CHECKSUM;
    auto within = [&](const Address &a, const char *v4, const char *v6) {
        return Prefix::parse(p.family == 4 ? v4 : v6)->contains(a);
    };
    if (!within(p.dst, "10.1.0.0/24", "2001:db8::/64") &&
        !within(p.dst, "10.1.2.0/24", "2001:db8:2::/64") &&
        !within(p.dst, "10.1.1.0/24", "2001:db8:1::/64"))
        out |= EFW_FORWARDED;
    out |= EFW_SOURCE_ROUTED;
    if (within(p.src, s.link ? "10.1.2.0/24" : "10.1.0.0/24", "2001::/16"))
        out |= EFW_SOURCE_ROUTED_BACK;
    return out;
}

struct Totals {
    std::size_t rulesets = 0, packets = 0, dropped = 0, accepted = 0, counters = 0;
    std::map<std::size_t, std::size_t> by_conditions;
};

std::string describe(const Sent &s, const offload::Plan &plan, const offload::Decision &d)
{
    const auto &p = s.packet;
    std::string out = p.src.text() + " -> " + p.dst.text() + " protocol " +
                      std::to_string(p.protocol) + " ports " + std::to_string(p.sport) + " " +
                      std::to_string(p.dport) + " flags " + std::to_string(p.tcp_flags) + " icmp " +
                      std::to_string(p.icmp) + " in " + p.in + " length " +
                      std::to_string(p.length) + " conditions " + std::to_string(d.conditions) +
                      (s.bad_checksum ? " bad checksum" : "") + ", decided by ";
    const auto &o = plan.origins[d.decider == offload::no_origin ? 0 : d.decider];
    return out + o.table + " " + o.chain + " " + std::to_string(o.number) + ": " + o.text;
}

// Sends packets through the rules that are loaded, and holds the plan to what comes out.
void compare(NetfilterLab &lab, unsigned seed, unsigned packets, Totals &totals)
{
    const auto rules = offload::read_live();
    if (!rules)
        FAIL(rules.error().message());
    auto host = offload::read_host({"r0", "r2"});
    REQUIRE(host);
    // Of rounds before this one; nothing but the rules tracks connections here.
    host->conntrack = false;
    const offload::Plan plan = offload::plan(*rules, *host);
    Packets random(*rules, seed);
    const match::Field<Address> own{host->local};
    lab.watch();
    std::vector<std::pair<Sent, const offload::Decision *>> decided;
    std::uint32_t number = 0;
    for (unsigned i = 0; i < packets; ++i) {
        Sent s = random.next(i % 3 ? 4 : 6);
        s.packet.holds = conditions_of(s, {});
        const auto *d = offload::decide(plan, s.packet);
        if (d) {
            decided.emplace_back(std::move(s), d);
        } else if (i % 4 == 0 && (own.allows(s.packet.dst) || s.packet.holds & EFW_FORWARDED)) {
            // May leave an entry in conntrack. To a neighbour that there is not it would make
            // the router tell, seconds later.
            lab.send(numbered(s, ++number), s.link);
        }
    }
    NetfilterLab::settle();
    const auto flows = tracked();
    // Packets of those connections too: what they are told apart by is no field of theirs.
    std::size_t most = 400;
    for (const auto &[protocol, src, dst, sport, dport] : flows) {
        Sent s = random.next(src.family());
        s.packet.src = src;
        s.packet.dst = dst;
        s.packet.protocol = protocol;
        s.packet.sport = sport;
        s.packet.dport = dport;
        Packets::finish(s);
        s.packet.holds = conditions_of(s, flows);
        if (const auto *d = offload::decide(plan, s.packet); d && most-- > 0)
            decided.emplace_back(std::move(s), d);
    }
    lab.forget();
    const auto before = offload::read_live();
    REQUIRE(before);
    const bool legacy = std::none_of(rules->tables.begin(), rules->tables.end(),
                                     [](const auto &t) { return !t.legacy; });
    std::map<std::string, std::uint64_t> expected = counters_of(*before, legacy);
    std::map<std::uint32_t, std::size_t> sent;
    for (std::size_t i = 0; i < decided.size(); ++i) {
        auto &[s, d] = decided[i];
        s.packet.holds = conditions_of(s, flows);
        if (offload::decide(plan, s.packet) != d)
            continue; // an entry has come to be
        lab.send(numbered(s, ++number), s.link);
        sent[number] = i;
        for (const auto c : d->counts)
            if (const auto it = expected.find(counter_key(plan.origins[c])); it != expected.end())
                ++it->second;
    }
    NetfilterLab::settle();
    for (const std::string set : {"v4", "v6"}) {
        const auto delivered = lab.seen("r", set), arrived = lab.seen("s", set);
        for (const auto &[n, i] : sent) {
            const auto &[s, d] = decided[i];
            if ((s.packet.family == 4) != (set == "v4"))
                continue;
            INFO(describe(s, plan, *d));
            const bool accept = d->rule.action == EFW_ACCEPT;
            CHECK_FALSE(delivered.contains(n));
            CHECK(arrived.contains(n) == accept);
            ++(accept ? totals.accepted : totals.dropped);
            ++totals.by_conditions[d->conditions];
        }
    }
    const auto after = offload::read_live();
    REQUIRE(after);
    const auto counted = counters_of(*after, legacy);
    for (const auto &[key, packets_counted] : expected) {
        INFO(key);
        CHECK(counted.at(key) == packets_counted);
        ++totals.counters;
    }
    totals.packets += packets;
    ++totals.rulesets;
}

void tell(const char *what, const Totals &t)
{
    std::cout << what << ": " << t.rulesets << " rulesets, " << t.packets << " packets, dropped "
              << t.dropped << ", accepted " << t.accepted << ", counters compared " << t.counters
              << "; by conditions:";
    for (const auto &[conditions, n] : t.by_conditions)
        std::cout << " " << conditions << ":" << n;
    std::cout << "\n";
}

void run(const char *what,
         const std::function<std::string(RulesWriter &, NetfilterLab &, bool)> &load)
{
    std::optional<NetfilterLab> lab;
    const unsigned rounds = environment("EVNF_ROUNDS", 25),
                   packets = environment("EVNF_PACKETS", 3000), first = environment("EVNF_SEED", 1);
    Totals totals;
    std::size_t refused = 0;
    for (unsigned seed = first; seed < first + rounds; ++seed) {
        constexpr unsigned rounds_of_lab = 4;
        const bool nat = seed % rounds_of_lab == rounds_of_lab - 1;
        if (!lab || seed % rounds_of_lab == 0) {
            lab.reset();
            lab.emplace();
        }
        lab->clear();
        lab->rp_filter(static_cast<int>(seed % 6 < 2 ? seed % 6 + 1 : 0));
        RulesWriter writer(seed);
        const std::string text = load(writer, *lab, nat);
        if (text.empty()) {
            ++refused;
            continue;
        }
        INFO("seed " << seed << "\n" << text);
        compare(*lab, seed, packets, totals);
    }
    tell(what, totals);
    CHECK(refused <= rounds / 5);
    CHECK(totals.dropped + totals.accepted > totals.packets / 50);
}

} // namespace

TEST_CASE("plans hold against iptables-legacy and ip6tables-legacy")
{
    run("legacy", [](RulesWriter &w, NetfilterLab &lab, bool nat) {
        const std::string v4 = w.iptables(4, nat), v6 = w.iptables(6, nat);
        return lab.load("iptables-legacy-restore", v4) || lab.load("ip6tables-legacy-restore", v6)
                   ? std::string()
                   : v4 + v6;
    });
}

TEST_CASE("plans hold against iptables-nft and ip6tables-nft")
{
    run("iptables-nft", [](RulesWriter &w, NetfilterLab &lab, bool nat) {
        const std::string v4 = w.iptables(4, nat), v6 = w.iptables(6, nat);
        return lab.load("iptables-nft-restore", v4) || lab.load("ip6tables-nft-restore", v6)
                   ? std::string()
                   : v4 + v6;
    });
}

TEST_CASE("plans hold against nftables")
{
    run("nft", [](RulesWriter &w, NetfilterLab &lab, bool) {
        std::string text = w.nft();
        return lab.load_nft(text) ? text : std::string();
    });
}

TEST_CASE("plans of well-known rulesets")
{
    // What must come out of each: rules offloaded at least in part, by program.
    struct Known {
        const char *name, *program;
        std::string text;
        std::vector<std::string> offloaded; // rules that must be
    };
    const std::vector<Known> known{
        {"docker",
         "iptables-nft-restore",
         docker_rules(),
         {"-A DOCKER-USER -s 198.51.100.0/24 -j DROP"}},
        {"fail2ban",
         "iptables-nft-restore",
         fail2ban_rules(),
         {"-A f2b-recidive -s 198.51.100.7/32 -j DROP", "-A f2b-sshd -s 203.0.113.1/32 -j DROP",
          "-A f2b-sshd -s 203.0.113.58/32 -j DROP"}},
        {"ufw",
         "iptables-legacy-restore",
         ufw_rules(),
         {"-A ufw-user-input -s 198.51.100.0/24 -j DROP",
          "-A ufw-user-input -s 203.0.113.0/24 -p tcp -m tcp --dport 25 -j DROP",
          "-A ufw-skip-to-policy-input -j DROP"}},
        {"home router",
         "iptables-legacy-restore",
         home_router_rules(),
         {"-A FORWARD -s 192.0.2.0/24 -i r2 -j DROP", "policy drop"}},
        {"firewalld",
         "nft -f -",
         firewalld_rules(),
         {"drop", "ip daddr 203.0.113.0/24 drop",
          "ip saddr { 192.0.2.0/25, 203.0.113.9 } tcp dport 22 counter packets 0 bytes 0 drop"}},
        {"blocklist",
         "iptables-nft-restore",
         blocklist_rules(10000),
         {"-A INPUT -s 198.18.0.0/32 -j DROP", "-A INPUT -s 198.18.39.15/32 -j DROP"}}};
    Totals totals;
    for (const auto &k : known) {
        INFO(k.name);
        NetfilterLab lab;
        const auto complaints = lab.load(k.program, k.text);
        INFO(complaints.value_or(""));
        REQUIRE_FALSE(complaints);
        const auto begin = std::chrono::steady_clock::now();
        const auto rules = offload::read_live();
        if (!rules)
            FAIL(rules.error().message());
        const auto host = offload::read_host({"r0", "r2"});
        REQUIRE(host);
        const auto middle = std::chrono::steady_clock::now();
        const auto plan = offload::plan(*rules, *host);
        const auto end = std::chrono::steady_clock::now();
        auto ms = [](auto d) {
            return std::chrono::duration_cast<std::chrono::milliseconds>(d).count();
        };
        auto told = offload::report(plan);
        for (const auto &text : k.offloaded) {
            INFO(text);
            CHECK(std::any_of(plan.origins.begin(), plan.origins.end(), [&](const auto &o) {
                return o.text == text && (o.state == offload::Origin::State::offloaded ||
                                          o.state == offload::Origin::State::in_part);
            }));
        }
        CHECK(plan.complete);
        if (std::getenv("EVNF_REPORT") && told["rules"].size() < 500)
            std::cout << told.dump(1) << "\n";
        std::cout << k.name << ": read " << ms(middle - begin) << " ms, planned "
                  << ms(end - middle) << " ms, decisions " << told["decisions"] << " (drop "
                  << told["drop"] << ", accept " << told["accept"] << "), rules offloaded "
                  << told["offloaded"] << ", in part " << told["in_part"] << ", not "
                  << told["not_offloaded"] << ", not seen " << told["not_seen"] << "\n";
        compare(lab, 7, 4000, totals);
    }
    tell("well-known", totals);
    CHECK(totals.dropped > 500);
}
