// SPDX-License-Identifier: GPL-2.0-or-later
// The fast path remembers what it has decided: no longer than it is true, and for no other
// packet; and a packet meets one ruleset as a whole.
#include <catch2/catch.hpp>

#include <arpa/inet.h>

#include <atomic>
#include <thread>

#include "support/beside.hpp"
#include "support/efw_trial.hpp"
#include "support/interfaces.hpp"

using namespace evnf;
using namespace evnf::efw;
using test::must;

namespace
{

std::vector<Rule> rules_of(std::initializer_list<const char *> texts)
{
    std::vector<Rule> out;
    for (const auto *text : texts)
        out.push_back(must(parse_rule(text)));
    return out;
}

Trial trial_of(std::initializer_list<const char *> texts, efw_action otherwise = EFW_ACCEPT)
{
    return {rules_of(texts), {test::test_interfaces(), {}}, otherwise, {}};
}

__u32 interface(const std::string &name)
{
    for (const auto &[ifindex, n] : test::test_interfaces())
        if (n == name)
            return ifindex;
    FAIL("no interface " << name);
    return 0;
}

pkt packet(int family, __u8 proto)
{
    pkt p{};
    p.len = 100;
    p.l3_off = 14;
    p.l3_end = 14 + 60;
    p.ifindex = interface("dmz");
    p.flow.family = static_cast<__u8>(family);
    p.flow.proto = proto;
    p.flow.saddr = must(Address::parse(family == 4 ? "10.0.0.1" : "2001:db8::1")).raw();
    p.flow.daddr = must(Address::parse(family == 4 ? "10.0.0.2" : "2001:db8::2")).raw();
    if (proto == IPPROTO_TCP || proto == IPPROTO_UDP) {
        p.l4 = PKT_L4_PORTS;
        p.flow.sport = htons(1000);
        p.flow.dport = htons(80);
    } else {
        p.l4 = PKT_L4_ICMP;
    }
    return p;
}

} // namespace

TEST_CASE("a flow's packets that differ in one field are told apart by it")
{
    struct Case {
        const char *rule;
        __u8 proto;
        void (*change)(pkt &p);
    };
    static const Case cases[] = {
        {"tcp sport 1001 drop", IPPROTO_TCP, [](pkt &p) { p.flow.sport = htons(1001); }},
        {"tcp dport 81 drop", IPPROTO_TCP, [](pkt &p) { p.flow.dport = htons(81); }},
        {"tcp flags syn drop", IPPROTO_TCP, [](pkt &p) { p.tcp_flags = 0x02; }},
        {"udp drop", IPPROTO_TCP, [](pkt &p) { p.flow.proto = IPPROTO_UDP; }},
        {"in lan0 drop", IPPROTO_TCP, [](pkt &p) { p.ifindex = interface("lan0"); }},
        {"vlan 5 drop", IPPROTO_TCP,
         [](pkt &p) {
             p.vlans = 1;
             p.vlan_tci[0] = 5;
         }},
        {"vlan 0 drop", IPPROTO_TCP, [](pkt &p) { p.vlans = 1; }}, // but untagged is no tag of 0
        {"dscp 10 drop", IPPROTO_TCP, [](pkt &p) { p.tos = 10 << 2; }},
        {"length 61 drop", IPPROTO_TCP, [](pkt &p) { ++p.l3_end; }},
        {"fragment first drop", IPPROTO_TCP, [](pkt &p) { p.frag = PKT_FRAG_FIRST; }},
        {"tcp dport 80 drop", IPPROTO_TCP, [](pkt &p) { p.l4 = PKT_L4_BAD; }},
        {"tcp drop", IPPROTO_TCP, [](pkt &p) { p.l4 = PKT_L4_UNREAD; }},
        {"icmp type 3/1 drop", IPPROTO_ICMP, [](pkt &p) { p.icmp_type = 3, p.icmp_code = 1; }},
        {"icmpv6 type 3/1 drop", IPPROTO_ICMPV6, [](pkt &p) { p.icmp_type = 3, p.icmp_code = 1; }},
        {"ip saddr 10.0.0.3 drop", IPPROTO_UDP,
         [](pkt &p) { p.flow.saddr.w[3] = htonl(0x0a000003); }},
        {"ip daddr 10.0.0.3 drop", IPPROTO_UDP,
         [](pkt &p) { p.flow.daddr.w[3] = htonl(0x0a000003); }},
        {"ip6 saddr 2001:db9::1 drop", IPPROTO_UDP,
         [](pkt &p) { p.flow.saddr.w[0] = htonl(0x20010db9); }},
        {"ip6 daddr 2001:db8:1::2 drop", IPPROTO_UDP,
         [](pkt &p) { p.flow.daddr.w[1] = htonl(0x10000); }},
        {"ip6 daddr 2001:db8::1:0:2 drop", IPPROTO_UDP,
         [](pkt &p) { p.flow.daddr.w[2] = htonl(1); }},
    };
    Tester tester;
    for (const auto &c : cases)
        for (const int family : {4, 6}) {
            Trial t = trial_of({c.rule});
            const pkt plain = packet(family, c.proto);
            pkt changed = plain;
            c.change(changed);
            if (family == 4) // of an address that IPv4 does not have
                for (auto *a : {&changed.flow.saddr, &changed.flow.daddr})
                    a->w[0] = a->w[1] = 0, a->w[2] = htonl(0xffff);
            t.packets = {plain, changed, plain, plain, changed, changed, plain};
            for (std::size_t i = 0; i < t.packets.size(); ++i)
                t.packets[i].len += 1U << i;
            tester.check(t, std::string(c.rule) + ", IPv" + std::to_string(family));
        }
}

TEST_CASE("what was decided by other rules is forgotten")
{
    Trial a = trial_of({"tcp dport 80 drop", "udp accept"});
    Trial b = trial_of({"tcp dport 80 slow", "udp reject"});
    Trial c = trial_of({}, EFW_DROP);
    for (const int family : {4, 6})
        for (const __u8 proto : {IPPROTO_TCP, IPPROTO_UDP})
            a.packets.push_back(packet(family, proto));
    b.packets = c.packets = a.packets;
    Tester tester;
    for (int i = 0; i < 40; ++i)
        for (const auto *t : {&a, &b, &a, &c, &b})
            tester.check(*t, "change " + std::to_string(i));
}

TEST_CASE("more flows than are remembered are decided as any")
{
    model::Random random(12);
    Trial t = trial_of({"tcp dport 0-30000 drop", "ip saddr 10.0.0.0/9 slow", "udp sport 7 accept",
                        "ip6 tcp dport 40000-65535 reject"});
    for (int i = 0; i < 300'000; ++i) {
        pkt p = packet(i % 2 ? 4 : 6, i % 3 ? IPPROTO_TCP : IPPROTO_UDP);
        p.flow.sport = static_cast<__be16>(random());
        p.flow.dport = static_cast<__be16>(random());
        p.flow.saddr.w[3] = htonl(0x0a000000 | (random() & 0xffffff));
        p.len = 14 + model::below(random, 1 << 24);
        t.packets.push_back(p);
    }
    Tester().check(t, "300,000 flows");
}

TEST_CASE("a rule that stays keeps its counts, a new one starts at zero")
{
    Trial t = trial_of({"udp drop", "tcp drop"}, EFW_SLOW);
    const json before = section_of(t);
    test::EfwBench bench(before);
    for (const __u8 protocol : {IPPROTO_UDP, IPPROTO_TCP})
        bench.run(packet(4, protocol));
    t.rules = rules_of({"tcp drop"});
    const json without = section_of(t, before);
    must(bench.fast_path().apply(without));
    t.rules = rules_of({"tcp drop", "sctp drop"});
    const json after = section_of(t, without);
    must(bench.fast_path().apply(after));
    const json shown = bench.fast_path().show(after);
    REQUIRE(shown["rules"].size() == 2);
    CHECK(shown["rules"][0]["id"] == 2);
    CHECK(shown["rules"][0]["packets"] == 1);
    CHECK(shown["rules"][0]["bytes"] == 100);
    CHECK(shown["rules"][1]["id"] == 3);
    CHECK(shown["rules"][1]["packets"] == 0);
}

namespace
{

// Swaps the one for the other while packets come, of which the one accepts all and the other
// has them slow. Each packet is of another flow, so that it is sought and not remembered.
void check_swaps(const json &a, const json &b, test::EfwBench &bench)
{
    std::vector<pkt> packets(test::EfwBench::most_packets, packet(4, IPPROTO_TCP));
    for (std::size_t i = 0; i < packets.size(); ++i)
        packets[i].flow.sport = htons(static_cast<__u16>(i));

    // A test run begins with milliseconds in which no packet is under way, so swaps do not
    // wait for runs: they fall anywhere. Only at the end does each ruleset stay until a whole
    // run has met it, so that both were surely seen.
    constexpr unsigned swapped_runs = 200;
    std::atomic<unsigned> runs = 0;
    std::atomic<bool> failed = false;
    std::atomic<bool> done = false;
    std::thread swapper([&] {
        failed = !test::beside_the_packets();
        auto put = [&](const json &section) {
            if (!bench.fast_path().apply(section))
                failed = true;
        };
        while (runs < swapped_runs && !failed) {
            put(b);
            put(a);
        }
        for (const json *section : {&b, &a}) {
            put(*section);
            for (const unsigned seen = runs; runs < seen + 2;)
                std::this_thread::yield();
        }
        done = true;
    });
    for (; !done; ++runs)
        bench.run_all(packets);
    swapper.join();
    CHECK_FALSE(failed);
    CHECK(bench.reason(NEXT).packets >= packets.size());
    CHECK(bench.reason(EFW_SLOW_RULE).packets >= packets.size());
    CHECK(bench.reason(NEXT).packets + bench.reason(EFW_SLOW_RULE).packets == bench.packets());
    CHECK(bench.packets() == __u64{runs} * packets.size());
}

} // namespace

TEST_CASE("a packet meets the one ruleset or the other, never a mixture")
{
    // The deciding rule is the first in `a`, the last in `b`: met with a part of the other,
    // none is left but the default's drop, or one of the many that drop by chance. They make
    // the tables so large that writing them takes a while.
    Trial of_a =
        trial_of({"priority 1 ip saddr 10.0.0.1 ip daddr 10.0.0.2 tcp dport 80 accept"}, EFW_DROP);
    Trial of_b =
        trial_of({"priority 900 ip saddr 10.0.0.1 ip daddr 10.0.0.2 tcp dport 80 slow"}, EFW_DROP);
    model::Random random(13);
    for (auto *t : {&of_a, &of_b})
        for (auto &rule : model::shaped_rules(random, model::Shape::ipc, 4, 2000))
            if (rule.match.src.asked() && rule.match.dst.asked())
                t->rules.push_back(std::move(rule));
    const json a = section_of(of_a), b = section_of(of_b);
    test::EfwBench bench(a);
    check_swaps(a, b, bench);
}

TEST_CASE("a packet meets a rule at its old place or at the new one, among many that stay")
{
    // Gone from the old and not yet at the new, the default drops.
    const char *rule = "ip saddr 10.0.0.1 ip daddr 10.0.0.2 tcp dport 80 ";
    Trial of_a = trial_of({("priority 1 " + std::string(rule) + "accept").c_str()}, EFW_DROP);
    Trial of_b = trial_of({("priority 900 " + std::string(rule) + "slow").c_str()}, EFW_DROP);
    model::Random random(14);
    for (auto &other : model::shaped_rules(random, model::Shape::ipc, 4, 2000))
        if (other.match.src.asked() && other.match.dst.asked())
            for (auto *t : {&of_a, &of_b})
                t->rules.push_back(other);
    const json a = section_of(of_a), b = section_of(of_b, a);
    test::EfwBench bench(a);
    check_swaps(a, b, bench);
    must(bench.fast_path().apply(b));
    const json memory = bench.fast_path().show(b)["memory"];
    CHECK(memory["added"] == 1);
    CHECK(memory["removed"] == 1);
}

TEST_CASE("a rule with a limit matches while there are tokens")
{
    const auto counts = [](test::EfwBench &bench, const pkt &p, unsigned n) {
        const auto accepted = bench.reason(NEXT).packets;
        const auto dropped = bench.reason(EFW_DROP_RULE).packets;
        bench.run_all(std::vector<pkt>(n, p));
        return std::to_string(bench.reason(NEXT).packets - accepted) + " accepted, " +
               std::to_string(bench.reason(EFW_DROP_RULE).packets - dropped) + " dropped";
    };
    pkt p = packet(4, IPPROTO_TCP), other = p;
    other.flow.saddr.w[3] = htonl(0x0a000009);
    {
        test::EfwBench bench(
            section_of(trial_of({"tcp limit rate 1/hour burst 3 accept", "tcp drop"})));
        CHECK(counts(bench, p, 10) == "3 accepted, 7 dropped");
        CHECK(counts(bench, other, 5) == "0 accepted, 5 dropped"); // one bucket for all
    }
    {
        test::EfwBench bench(
            section_of(trial_of({"tcp limit rate over 1/hour burst 3 drop", "tcp accept"})));
        CHECK(counts(bench, p, 10) == "3 accepted, 7 dropped");
    }
    {
        test::EfwBench bench(
            section_of(trial_of({"tcp limit rate 1/hour burst 3 per saddr accept", "tcp drop"})));
        CHECK(counts(bench, p, 10) == "3 accepted, 7 dropped");
        CHECK(counts(bench, other, 5) == "3 accepted, 2 dropped");
    }
    {
        test::EfwBench bench(
            section_of(trial_of({"tcp limit rate 30/minute burst 1 accept", "tcp drop"})));
        CHECK(counts(bench, p, 3) == "1 accepted, 2 dropped"); // within two seconds
        while (counts(bench, p, 1) != "1 accepted, 0 dropped")
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
}
