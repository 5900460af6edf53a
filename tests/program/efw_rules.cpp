// SPDX-License-Identifier: GPL-2.0-or-later
// The real program with real rulesets: verdict, reason and the rule that counts, against
// a linear model; and that a packet meets one ruleset as a whole.
#include <catch2/catch.hpp>

#include <linux/bpf.h>

#include <atomic>
#include <thread>

#include "abi/chain.h"
#include "support/efw_model.hpp"
#include "support/stage_bench.hpp"
#include "vnfs/vnf.hpp"

using namespace evnf;
using namespace evnf::efw;
using test::must;

namespace
{

json section_of(const std::vector<Rule> &rules, const std::string &otherwise,
                const json &running = nullptr)
{
    json texts = json::array();
    for (const auto &r : rules)
        texts.push_back(text_of(r));
    return must(find_vnf("efw")->check({{"default", otherwise}, {"rules", texts}}, running));
}

class Bench : public test::StageBench
{
public:
    explicit Bench(const json &section)
        : StageBench("efw", section),
          counters_(must(bpf::PerCpuCounters<counter>::bind(maps(), "efw_counters")))
    {
    }

    [[nodiscard]] counter rule(__u32 index) const { return counters_.sum(index); }
    [[nodiscard]] __u64 counted() const
    {
        __u64 all = 0;
        for (__u32 i = 0; i < EFW_COUNTERS; ++i)
            all += rule(i).packets;
        return all;
    }

private:
    bpf::PerCpuCounters<counter> counters_;
};

__u32 action_reason(efw_action action, bool by_default)
{
    switch (action) {
    case EFW_ACCEPT:
        return by_default ? __u32{EFW_NEXT_DEFAULT} : __u32{NEXT};
    case EFW_DROP:
        return by_default ? EFW_DROP_DEFAULT : EFW_DROP_RULE;
    case EFW_SLOW:
        return by_default ? EFW_SLOW_DEFAULT : EFW_SLOW_RULE;
    }
    return CHAIN_MAX_REASONS;
}

struct Expected {
    __u32 reason;
    std::optional<__u32> counter;
};

Expected expect(const std::vector<Rule> &rules, const json &section, efw_action otherwise,
                const pkt &p)
{
    const int i = model::decide(rules, p);
    if (i == model::cannot_tell)
        return {p.frag == PKT_FRAG_NONE ? __u32{SLOW_L4_UNKNOWN} : __u32{SLOW_FRAGMENT}, {}};
    if (i == model::by_default)
        return {action_reason(otherwise, true), 0};
    const auto &rule = rules[static_cast<std::size_t>(i)];
    for (const auto &r : section["rules"])
        if (r["rule"] == text_of(rule))
            return {action_reason(rule.action, false), r["counter"].get<__u32>()};
    FAIL("the section lost a rule");
    return {};
}

void check_packet(Bench &bench, const Expected &expected, const pkt &p)
{
    const counter rule = expected.counter ? bench.rule(*expected.counter) : counter{};
    bench.check_packet(expected.reason, p);
    if (!expected.counter)
        return;
    REQUIRE(bench.rule(*expected.counter).packets == rule.packets + 1);
    REQUIRE(bench.rule(*expected.counter).bytes == rule.bytes + p.len);
}

} // namespace

TEST_CASE("the fast path decides and counts as the rules say")
{
    static constexpr std::pair<efw_action, const char *> defaults[] = {
        {EFW_ACCEPT, "accept"}, {EFW_DROP, "drop"}, {EFW_SLOW, "slow"}};
    model::Random random(5);
    Bench bench(section_of({}, "slow"));
    std::set<__u32> reasons;
    __u64 ran = 0, by_a_rule = 0;
    for (int round = 0; round < 400; ++round) {
        const auto rules = model::any_rules(random, round % 20 ? 12 : 300);
        const auto &[otherwise, name] = defaults[round % 3];
        const json section = section_of(rules, name);
        must(bench.fast_path().apply(section));
        const __u64 counted = bench.counted();
        __u64 expected_counts = 0;
        for (int i = 0; i < 80; ++i, ++ran) {
            const pkt p = model::any_packet(random, rules);
            const Expected expected = expect(rules, section, otherwise, p);
            INFO("round " << round << " packet " << i << ": " << section.dump());
            check_packet(bench, expected, p);
            expected_counts += expected.counter.has_value();
            by_a_rule += expected.counter.value_or(0) != 0;
            reasons.insert(expected.reason);
        }
        REQUIRE(bench.counted() == counted + expected_counts); // and nowhere else
    }
    CHECK(bench.packets() == ran);
    CHECK(by_a_rule > ran / 10);
    CHECK(reasons.size() == 8); // every reason but no_tables
}

TEST_CASE("the search ends at the right interval, however many there are")
{
    for (const unsigned n : {0U, 1U, 2U, 3U, 4U, 7U, 8U, 63U, 64U, 65U, 500U, 1000U}) {
        std::vector<Rule> rules;
        for (unsigned i = 0; i < n; ++i)
            rules.push_back(*parse_rule("ip saddr 10." + std::to_string(i / 100) + "." +
                                        std::to_string(i % 100 * 2) + ".4/30 drop"));
        const json section = section_of(rules, "accept");
        Bench bench(section);
        for (unsigned i = 0; i<n; i += n> 100 ? 37 : 1)
            for (const unsigned last : {3U, 4U, 7U, 8U}) { // both sides of both ends
                pkt p{};
                p.len = 60;
                p.flow.family = 4;
                p.flow.proto = IPPROTO_TCP;
                p.flow.saddr =
                    Address::parse("10." + std::to_string(i / 100) + "." +
                                   std::to_string(i % 100 * 2) + "." + std::to_string(last))
                        ->raw();
                p.flow.daddr = p.flow.saddr;
                INFO(n << " rules, rule " << i << ", host " << last);
                check_packet(bench, expect(rules, section, EFW_ACCEPT, p), p);
            }
        for (const auto *edge :
             {"0.0.0.0", "255.255.255.255", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}) {
            pkt p{};
            p.len = 60;
            p.flow.saddr = p.flow.daddr = Address::parse(edge)->raw();
            p.flow.family = static_cast<__u8>(Address(p.flow.saddr).family());
            check_packet(bench, expect(rules, section, EFW_ACCEPT, p), p);
        }
    }
}

TEST_CASE("a rule that stays keeps its counts, a new one starts at zero")
{
    const auto old_rule = *parse_rule("udp drop");
    const auto kept = *parse_rule("tcp drop");
    const auto fresh = *parse_rule("sctp drop");
    pkt p{};
    p.len = 100;
    p.flow.family = 4;
    const json before = section_of({old_rule, kept}, "slow");
    Bench bench(before);
    for (const __u8 protocol : {IPPROTO_UDP, IPPROTO_TCP}) {
        p.flow.proto = protocol;
        p.l4 = PKT_L4_PORTS;
        bench.run(p);
    }
    const json without = section_of({kept}, "slow", before);
    must(bench.fast_path().apply(without));
    const json after = section_of({kept, fresh}, "slow", without);
    must(bench.fast_path().apply(after));
    const json shown = bench.fast_path().show(after);
    REQUIRE(shown["rules"].size() == 2);
    CHECK(shown["rules"][0]["id"] == 2);
    CHECK(shown["rules"][0]["packets"] == 1);
    CHECK(shown["rules"][0]["bytes"] == 100);
    CHECK(shown["rules"][1]["id"] == 3);
    CHECK(shown["rules"][1]["packets"] == 0);
}

TEST_CASE("a packet meets the one ruleset or the other, never a mixture")
{
    // The deciding rule is bit 0 of each vector in `a`, bit 1 in `b`. Were a vector of
    // one table of `a` met with one of `b`, no bit would be left: the default's drop.
    const json a = section_of({*parse_rule("ip saddr 10.0.0.1 ip daddr 10.0.0.2 tcp sport 7 dport "
                                           "9 drop")},
                              "drop");
    const json b = section_of({*parse_rule("priority 1 ip saddr 10.9.9.9 ip daddr 10.9.9.9 udp "
                                           "sport 1 dport 1 drop"),
                               *parse_rule("ip saddr 10.0.0.1 ip daddr 10.0.0.2 tcp sport 7 dport "
                                           "9 slow")},
                              "drop");
    Bench bench(a);
    pkt p{};
    p.len = 60;
    p.l4 = PKT_L4_PORTS;
    p.flow.family = 4;
    p.flow.proto = IPPROTO_TCP;
    p.flow.saddr = Address::parse("10.0.0.1")->raw();
    p.flow.daddr = Address::parse("10.0.0.2")->raw();
    p.flow.sport = htons(7);
    p.flow.dport = htons(9);

    // A test run begins with milliseconds in which no packet is under way, so batches are
    // long, and swaps do not wait for them: they fall anywhere. Only at the end does each
    // ruleset stay until a whole batch has met it, so that both were surely seen.
    constexpr unsigned batch = 1'000'000;
    constexpr unsigned swapped_batches = 40;
    std::atomic<unsigned> batches = 0;
    std::atomic<bool> failed = false;
    std::atomic<bool> done = false;
    std::thread swapper([&] {
        auto put = [&](const json &section) {
            if (!bench.fast_path().apply(section))
                failed = true;
        };
        while (batches < swapped_batches && !failed) {
            put(b);
            put(a);
        }
        for (const json *section : {&b, &a}) {
            put(*section);
            for (const unsigned seen = batches; batches < seen + 2;)
                std::this_thread::yield();
        }
        done = true;
    });
    for (; !done; ++batches)
        bench.run(p, batch);
    swapper.join();
    CHECK_FALSE(failed);
    CHECK(bench.reason(EFW_DROP_RULE).packets >= batch);
    CHECK(bench.reason(EFW_SLOW_RULE).packets >= batch);
    CHECK(bench.reason(EFW_DROP_DEFAULT).packets == 0);
    CHECK(bench.packets() == __u64{batches} * batch);
}
