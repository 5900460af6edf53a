// SPDX-License-Identifier: GPL-2.0-or-later
// Elements of sets that come and go while the rules stay: what the program looks up is what
// is in the set, and a million of them are put in and found.
#include <catch2/catch.hpp>

#include <set>

#include <arpa/inet.h>

#include <chrono>
#include <cstdio>

#include "support/efw_trial.hpp"
#include "support/interfaces.hpp"

using namespace evnf;
using namespace evnf::efw;
using test::must;

namespace
{

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin)
{
    return std::chrono::duration<double>(Clock::now() - begin).count();
}

json section_with(unsigned size)
{
    return must(
        find_vnf("efw")->check({{"default", "accept"},
                                {"rules", {"saddr @blocked drop"}},
                                {"sets", {{"blocked", {{"type", "addr"}, {"size", size}}}}}},
                               nullptr));
}

Elements elements(std::initializer_list<const char *> texts)
{
    Elements out;
    for (const auto *text : texts)
        out.push_back(must(parse_element(text, SetType::addr)));
    return out;
}

pkt packet_from(const Address &source)
{
    pkt p{};
    p.len = 100;
    p.l3_off = 14;
    p.l3_end = 14 + 60;
    p.ifindex = test::test_interfaces().begin()->first;
    p.l4 = PKT_L4_PORTS;
    p.flow.family = static_cast<__u8>(source.family());
    p.flow.proto = IPPROTO_UDP;
    p.flow.saddr = source.raw();
    p.flow.daddr = must(Address::parse(source.is_v4() ? "192.0.2.1" : "2001:db8::1")).raw();
    p.flow.sport = p.flow.dport = htons(53);
    return p;
}

// The n-th of many addresses, spread over all.
Address host(unsigned n)
{
    ip_addr a{};
    a.w[2] = htonl(0xffff);
    a.w[3] = htonl(0x01000000 + n * 2654435761U % 0xd0000000);
    return Address(a);
}

Elements hosts(unsigned n)
{
    Elements out;
    for (unsigned i = 0; i < n; ++i)
        out.push_back(element_of(Prefix{host(i), 32}));
    return out;
}

} // namespace

TEST_CASE("a verdict follows the elements at once, also of a flow that is known")
{
    test::EfwBench bench(section_with(8));
    SetElements sets = bench.sets();
    const DeclaredSet set = declared_sets(section_with(8)).front();
    const pkt v4 = packet_from(must(Address::parse("198.51.100.7")));
    const pkt v6 = packet_from(must(Address::parse("2001:db8:5::7")));
    const auto dropped = [&](const pkt &p) {
        bench.run(p);
        return bench.run(p) == XDP_DROP; // the second time by the answer remembered
    };
    for (int round = 0; round < 3; ++round) {
        CHECK_FALSE(dropped(v4));
        must(sets.change(set, elements({"198.51.100.0/24", "2001:db8::/32"}), {}));
        CHECK(dropped(v4));
        CHECK(dropped(v6));
        must(sets.change(set, elements({"198.51.100.7"}), elements({"198.51.100.0/24"})));
        CHECK(dropped(v4));
        must(sets.replace(set, elements({"2001:db8:5::/48"})));
        CHECK_FALSE(dropped(v4));
        CHECK(dropped(v6));
        must(sets.replace(set, {}));
        CHECK_FALSE(dropped(v6));
    }
}

TEST_CASE("while elements come and go nothing is remembered of them, also if evnfd ends then")
{
    test::EfwBench bench(section_with(8));
    auto changes = must(bpf::Map<__u32, __u32>::bind(must(bench.fd_of("match_set_changes"))));
    auto table = must(bpf::Map<match_set_element, __u32>::bind(must(bench.fd_of("match_sets"))));
    auto lengths =
        must(bpf::Map<__u32, match_set_lengths>::bind(must(bench.fd_of("match_set_lengths"))));
    const DeclaredSet set = declared_sets(section_with(8)).front();
    const pkt p = packet_from(host(1));
    match_set_element e = element_of(Prefix{host(1), 32});
    e.set = static_cast<__u16>(set.number);

    CHECK_FALSE(bench.run(p) == XDP_DROP);
    must(changes.put(0, 7)); // as in a change that has begun
    must(lengths.put(set.number, {.word = {0, 0, 1}}));
    for (int i = 0; i < 3; ++i) {
        must(table.put(e, 0));
        CHECK(bench.run(p) == XDP_DROP);
        table.erase(e);
        CHECK_FALSE(bench.run(p) == XDP_DROP);
    }
    SetElements sets = bench.sets(); // the next evnfd
    CHECK(changes.get(0) == 8);
    must(sets.change(set, {e}, {}));
    CHECK(changes.get(0) == 10);
    CHECK(bench.run(p) == XDP_DROP);
}

TEST_CASE("a set has what was put in and nothing else, whatever comes and goes")
{
    constexpr unsigned size = 40;
    test::EfwBench bench(section_with(size));
    SetElements sets = bench.sets();
    const DeclaredSet set = declared_sets(section_with(size)).front();
    auto lengths =
        must(bpf::Map<__u32, match_set_lengths>::bind(must(bench.fd_of("match_set_lengths"))));
    model::Random random(3);
    std::set<std::string> model;
    const auto any = [&] {
        std::vector<std::string> out;
        for (unsigned n = model::below(random, 12); n; --n)
            out.push_back(model::any_prefix(random, model::below(random, 2) ? 4 : 6).text());
        return out;
    };
    const auto parsed = [](const std::vector<std::string> &texts) {
        Elements out;
        for (const auto &text : texts)
            out.push_back(must(parse_element(text, SetType::addr)));
        return out;
    };
    unsigned refused = 0;
    for (int round = 0; round < 3000; ++round) {
        const auto add = any(), del = any();
        auto next = model::below(random, 10) ? model : std::set<std::string>();
        const bool whole = next.empty();
        next.insert(add.begin(), add.end());
        if (!whole)
            for (const auto &text : del)
                next.erase(text);
        const auto done =
            whole ? sets.replace(set, parsed(add)) : sets.change(set, parsed(add), parsed(del));
        if (!done) {
            REQUIRE(done.error().code == EDQUOT);
            REQUIRE(next.size() > size);
            ++refused;
        } else {
            model = next;
        }
        std::set<std::string> seen;
        match_set_lengths has{};
        for (const auto &e : must(sets.all(set))) {
            seen.insert(element_text(e, SetType::addr));
            has.word[e.length / 64] |= 1ULL << e.length % 64;
        }
        REQUIRE(seen == model);
        REQUIRE(must(sets.count(set)) == model.size());
        const auto told = lengths.get(set.number);
        REQUIRE(told);
        REQUIRE(std::equal(std::begin(has.word), std::end(has.word), std::begin(told->word)));
    }
    CHECK(refused > 0);
}

TEST_CASE("what a set has no room for is refused, and nothing of it is there")
{
    test::EfwBench bench(section_with(2));
    SetElements sets = bench.sets();
    const DeclaredSet set = declared_sets(section_with(2)).front();
    must(sets.change(set, elements({"10.0.0.1"}), {}));
    const auto full = sets.change(set, elements({"10.0.0.1", "10.0.0.2", "10.0.0.3"}), {});
    REQUIRE_FALSE(full);
    CHECK(full.error().code == EDQUOT);
    CHECK(full.error().what == "set 'blocked' may have 2 elements, and would have 3: give it a "
                               "greater size in [efw.sets.blocked], or delete some first");
    CHECK(must(sets.count(set)) == 1);
    // The table has room for four, of which one is the set's mark: it is full meanwhile.
    must(sets.change(set, elements({"10.0.0.2"}), {}));
    must(sets.mark(set));
    must(sets.replace(set, elements({"10.0.0.3", "10.0.0.4"})));
    CHECK(must(sets.all(set)).size() == 2);
    DeclaredSet greater = set;
    greater.size = 100; // than the table
    const auto none = sets.change(greater, elements({"10.0.0.5", "10.0.0.6"}), {});
    REQUIRE_FALSE(none);
    CHECK(none.error().code == EDQUOT);
    CHECK(must(sets.count(set)) == 2);
}

TEST_CASE("what a set that is gone had is removed")
{
    test::EfwBench bench(section_with(100));
    SetElements sets = bench.sets();
    const DeclaredSet old = declared_sets(section_with(100)).front();
    DeclaredSet other = old;
    other.number = 9;
    other.name = "other";
    must(sets.mark(old));
    must(sets.mark(other));
    must(sets.change(old, hosts(20), {}));
    must(sets.change(other, hosts(10), {}));
    must(sets.keep_only({old, other}));
    CHECK(must(sets.count(old)) == 20);
    must(sets.keep_only({other}));
    CHECK(must(sets.count(old)) == 0);
    CHECK(must(sets.count(other)) == 10);
    CHECK_FALSE(sets.is_marked(old));
    DeclaredSet renamed = other; // with the number of one before
    renamed.name = "third";
    CHECK_FALSE(sets.is_marked(renamed));
    must(sets.keep_only({renamed}));
    CHECK(must(sets.count(renamed)) == 0);
}

TEST_CASE("a million elements are put in, changed and found")
{
    {
        test::EfwBench bench(must(find_vnf("efw")->check(
            {{"default", "accept"}, {"rules", {"saddr 10.0.0.1 drop"}}}, nullptr)));
        const std::vector<pkt> packets(test::EfwBench::most_packets, packet_from(host(7)));
        unsigned least = ~0U;
        for (unsigned i = 0; i < 60; ++i)
            least = std::min(least, bench.ns_each(packets));
        std::fprintf(stderr, "no set, one flow: %u ns a packet\n", least);
    }
    for (const unsigned n : {1'000U, 1'000'000U}) {
        test::EfwBench bench(section_with(n));
        SetElements sets = bench.sets();
        const DeclaredSet set = declared_sets(section_with(n)).front();
        const Elements all = hosts(n);
        auto begin = Clock::now();
        must(sets.change(set, all, {}));
        std::fprintf(stderr, "%u elements: added in %.2f s", n, seconds_since(begin));
        CHECK(must(sets.count(set)) == n);
        begin = Clock::now();
        must(sets.replace(set, all));
        std::fprintf(stderr, ", replaced by the same in %.2f s", seconds_since(begin));
        begin = Clock::now();
        must(sets.change(set, {}, Elements(all.begin(), all.begin() + 10)));
        must(sets.change(set, Elements(all.begin(), all.begin() + 10), {}));
        std::fprintf(stderr, ", ten changed in %.1f us\n", seconds_since(begin) * 1e6);

        constexpr unsigned rounds = 60;
        const auto cost = [&](const char *what, auto source) {
            std::vector<pkt> packets;
            for (unsigned i = 0; i < test::EfwBench::most_packets; ++i)
                packets.push_back(packet_from(source(i)));
            unsigned least = ~0U;
            for (unsigned i = 0; i < rounds; ++i)
                least = std::min(least, bench.ns_each(packets));
            std::fprintf(stderr, "  %-32s %u ns a packet\n", what, least);
        };
        cost("one flow, a member", [](unsigned) { return host(7); });
        cost("one flow, no member", [](unsigned) { return must(Address::parse("255.1.2.3")); });
        cost("16384 flows, members", [&](unsigned i) { return host(i * 61 % n); });
        cost("16384 flows, no members", [&](unsigned i) {
            ip_addr a = host(i).raw();
            a.w[3] |= htonl(0xe0000000);
            return Address(a);
        });
        const __u64 before = bench.reason(EFW_DROP_RULE).packets;
        for (unsigned i = 0; i < n; i += 997)
            bench.run(packet_from(host(i)));
        CHECK(bench.reason(EFW_DROP_RULE).packets - before == (n + 996) / 997);
        begin = Clock::now();
        must(sets.replace(set, {}));
        std::fprintf(stderr, "  flushed in %.2f s\n", seconds_since(begin));
        CHECK(must(sets.all(set)).empty());
    }
}
