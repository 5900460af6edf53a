// SPDX-License-Identifier: GPL-2.0-or-later
// What becomes of packets by their flows' policies and by edpi's mode, against plain models.
#include <linux/bpf.h>
#include <netinet/in.h>
#include <time.h>

#include "support/edpi.hpp"
#include "vnfs/edpi/record.hpp"

using namespace evnf;
using namespace evnf::test;
using edpi::Policies;
using edpi::Rules;
using edpi::Standing;

namespace
{

constexpr std::uint16_t http = 7, dns = 5; // nDPI's numbers

// A flow table with policies, as a daemon has them.
struct Judged : Edpi {
    explicit Judged(const json &more) : Edpi(4096, more), table(must(edpi::Table::bind(maps))) {}

    std::shared_ptr<const Rules> rules_of(const json &policies, const json &elephants = "always")
    {
        const auto checked =
            must(edpi::check_section({{"policy", policies}, {"elephants", elephants}}, nullptr));
        return std::make_shared<const Rules>(must(Rules::make(policies_table, checked)));
    }
    edpi::Policies::Counts counts(const Rules &rules, std::size_t i)
    {
        return policies_table->counts(rules.policies[i].policy);
    }

    edpi::Table table; // another's view of it
    std::shared_ptr<Policies> policies_table = must(Policies::bind(maps));
};

const json four = json::array({
    {{"name", "forward"}, {"action", "forward"}},
    {{"name", "drop"}, {"action", "drop"}},
    {{"name", "mark"}, {"action", "mark"}, {"dscp", "af41"}},
    {{"name", "send"}, {"action", "send"}, {"to", "way3"}},
});

unsigned reason_of(const Rules &rules, unsigned number)
{
    const auto *policy = rules.find(number);
    if (policy && policy->name == "drop")
        return EDPI_DROP_POLICY;
    if (policy && policy->name == "send")
        return EDPI_NEXT_WAY3;
    return NEXT;
}

// The frame with another DSCP, by the plainest means.
Bytes marked(Bytes frame, const pkt &p, unsigned dscp)
{
    auto *ip = frame.data() + p.l3_off;
    if (p.flow.family == 6) {
        const unsigned tc = dscp << 2 | (ip[1] >> 4 & 3);
        ip[0] = static_cast<std::uint8_t>(0x60 | tc >> 4);
        ip[1] = static_cast<std::uint8_t>((tc & 15) << 4 | (ip[1] & 15));
        return frame;
    }
    ip[1] = static_cast<std::uint8_t>(dscp << 2 | (ip[1] & 3));
    return frame;
}

// Frames without the checksum of the IPv4 header.
Bytes without_sum(Bytes frame, const pkt &p)
{
    if (p.flow.family == 4)
        frame[p.l3_off + 10] = frame[p.l3_off + 11] = 0;
    return frame;
}

std::uint64_t ns()
{
    timespec t{};
    ::clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000 +
           static_cast<std::uint64_t>(t.tv_nsec);
}

} // namespace

TEST_CASE("each packet of a flow is treated as its policy says, and counted there")
{
    Judged edpi(json::object());
    const auto rules = edpi.rules_of(four);
    Random random(21);
    std::map<unsigned, counter> met;
    std::map<unsigned, unsigned> kinds;
    for (int i = 0; i < 6000; ++i) {
        const Bytes packet = any_packet(random, 4);
        if (packet.size() < 14)
            continue;
        const Ran first = edpi.run(packet);
        const bool reached =
            edpi.left(last_at, SLOW_NOT_IP) || edpi.left(stage_at, EDPI_DROP_POLICY);
        for (const unsigned r : {unsigned{NEXT}, unsigned{EDPI_NEXT_WAY3}})
            edpi.left(stage_at, r);
        if (!reached)
            continue;
        const auto slot = edpi.slot_of(first.seen);
        if (const auto was = edpi.table.standing(slot).policy) {
            ++met[was].packets;
            met[was].bytes += packet.size();
        }
        const unsigned number = roll(random, 5) ? rules->policies[roll(random, 4)].number : 0;
        edpi.table.set_standing(slot, {number, roll(random, 2) == 0});
        const unsigned wanted = reason_of(*rules, number);
        const Ran ran = edpi.run(packet);
        INFO(hex(packet));
        REQUIRE(edpi.left(stage_at, wanted) == 1);
        edpi.left(last_at, SLOW_NOT_IP);
        REQUIRE(ran.verdict == (wanted == EDPI_DROP_POLICY ? XDP_DROP : XDP_PASS));
        if (number) {
            ++met[number].packets;
            met[number].bytes += packet.size();
        }
        const auto *policy = rules->find(number);
        const bool marks = policy && policy->name == "mark";
        const Bytes want = marks ? marked(packet, ran.seen, 34) : packet;
        REQUIRE(without_sum(ran.out, ran.seen) == without_sum(want, ran.seen));
        if (ran.seen.flow.family == 4) // as right or as wrong as it was
            REQUIRE(header_sum(ran.out, ran.seen.l3_off) % 0xffff ==
                    header_sum(packet, ran.seen.l3_off) % 0xffff);
        if (marks)
            REQUIRE(ran.seen.tos >> 2 == 34);
        ++kinds[wanted << 1 | marks];
    }
    for (const unsigned kind :
         {NEXT << 1 | 0, NEXT << 1 | 1, EDPI_DROP_POLICY << 1, EDPI_NEXT_WAY3 << 1})
        CHECK(kinds[kind] > 100);
    for (std::size_t i = 0; i < 4; ++i) {
        const auto counts = edpi.counts(*rules, i);
        const auto &want = met[rules->policies[i].number];
        CHECK(counts.met.packets == want.packets);
        CHECK(counts.met.bytes == want.bytes);
        CHECK(counts.dropped.packets == (i == 1 ? want.packets : 0));
    }
}

TEST_CASE("a limit lets through what its bucket has, for all its flows together")
{
    Judged edpi(json::object());
    constexpr std::uint64_t bytes_per_second = 1'000'000, burst = 10000;
    const auto rules = edpi.rules_of(json::array(
        {{{"name", "limit"}, {"action", "limit"}, {"rate", "8 mbit/s"}, {"burst", burst}}}));
    Bytes packets[2];
    for (std::uint16_t i = 0; i < 2; ++i) {
        packets[i] = build({.sport = static_cast<std::uint16_t>(2000 + i), .payload = Bytes(946)});
        edpi.table.set_standing(edpi.slot_of(edpi.run(packets[i]).seen),
                                {rules->policies[0].number, false});
    }
    const std::uint64_t size = packets[0].size();
    edpi.left(stage_at, NEXT);
    const auto began = ns();
    constexpr unsigned sent = 2000;
    for (unsigned i = 0; i < sent; ++i)
        edpi.run(packets[i % 2]);
    const auto took = ns() - began;
    const auto passed = edpi.left(stage_at, NEXT), dropped = edpi.left(stage_at, EDPI_DROP_LIMIT);
    CHECK(passed + dropped == sent);
    CHECK(passed >= burst / size);
    CHECK(passed * size <= burst + took * bytes_per_second / 1'000'000'000 + size);
    const auto counts = edpi.counts(*rules, 0);
    CHECK(counts.met.packets == sent);
    CHECK(counts.dropped.packets == dropped);
    CHECK(counts.dropped.bytes == dropped * size);
}

TEST_CASE("what is not kept goes the slow way of the mode, all fragments with it")
{
    const std::string mode = GENERATE("stack", "tap", "xsk");
    Judged edpi(json{{"mode", mode}});
    Random random(22);
    std::map<unsigned, unsigned> seen;
    for (int i = 0; i < 3000; ++i) {
        const Bytes packet = any_packet(random, 3);
        if (packet.size() < 14)
            continue;
        const Ran first = edpi.run(packet);
        if (!edpi.left(stage_at, NEXT) && !edpi.left(stage_at, EDPI_SLOW_INSPECT))
            continue;
        const auto slot = edpi.slot_of(first.seen);
        const bool kept = roll(random, 2) == 0;
        edpi.table.set_standing(slot, {0, kept});
        const Ran ran = edpi.run(packet);
        const bool slow = !kept || ran.seen.frag != PKT_FRAG_NONE;
        REQUIRE(edpi.left(stage_at, EDPI_SLOW_INSPECT) == slow);
        REQUIRE(edpi.left(stage_at, NEXT) == !slow);
        if (slow)
            REQUIRE(ran.seen.note == EDPI_NOTE(slot, edpi.table.flow(slot).first));
        ++seen[slow << 1 | kept];
    }
    CHECK(seen[0] == 0);
    CHECK(seen[1] > 100);
    CHECK(seen[2] > 100);
    CHECK(seen[3] > 10);
}

TEST_CASE("a count of copies that is full does not spill into the policy")
{
    Judged edpi(json{{"mode", "xsk"}});
    const auto slot = edpi.slot_of(edpi.run(build({})).seen);
    for (int i = 0; i < 3; ++i) {
        LIBBPF_OPTS(bpf_test_run_opts, o);
        const Bytes in = build({});
        o.data_in = in.data();
        o.data_size_in = static_cast<__u32>(in.size());
        o.repeat = 70000;
        REQUIRE(bpf_prog_test_run_opts(edpi.root_program(), &o) == 0);
    }
    CHECK(edpi.table.flow(slot).copied == 81);
    CHECK(edpi.table.standing(slot) == Standing{});
}

TEST_CASE("running flows are judged anew when policies change; what is the same stays")
{
    Judged edpi(json::object());
    const auto web = edpi.slot_of(edpi.run(build({.sport = 1})).seen);
    const auto names = edpi.slot_of(edpi.run(build({.proto = IPPROTO_UDP, .sport = 2})).seen);
    const auto open = edpi.slot_of(edpi.run(build({.sport = 3})).seen);
    for (const auto &[slot, app] : {std::pair{web, http}, {names, dns}}) {
        edpi.table.name(slot, 0, app);
        edpi.table.close_inspection(slot);
    }
    auto flows = edpi.flows_with([](const json &) { return true; });
    const json drop_web{{"name", "a"}, {"application", {"HTTP"}}, {"action", "drop"}};
    const json mark_rest{{"name", "b"}, {"action", "mark"}, {"dscp", 8}};
    const auto put = [&](const json &policies, const json &elephants) {
        auto rules = edpi.rules_of(policies, elephants);
        flows->set(rules);
        edpi.policies_table->retire_others(rules->numbers());
        return rules;
    };
    const auto one = put(json::array({drop_web, mark_rest}), {{"category", {"Network"}}});
    const unsigned a = one->policies[0].number, b = one->policies[1].number;
    CHECK(a != b);
    CHECK(edpi.table.standing(web) == Standing{a, false});
    CHECK(edpi.table.standing(names) == Standing{b, true}); // DNS is of the category
    CHECK(edpi.table.standing(open) == Standing{});         // not known yet
    edpi.left(stage_at, EDPI_DROP_POLICY);
    edpi.run(build({.sport = 1}));
    CHECK(edpi.left(stage_at, EDPI_DROP_POLICY) == 1);

    const auto two = put(json::array({mark_rest, drop_web}), "never");
    CHECK(two->policies[0].number == b); // the same policies, in another order
    CHECK(two->policies[1].number == a);
    CHECK(edpi.table.standing(web) == Standing{b, false});
    CHECK(edpi.counts(*two, 1).met.packets == 1);

    const json other{{"name", "a"}, {"application", {"http"}}, {"action", "forward"}};
    const auto three = put(json::array({other}), "always");
    CHECK(edpi.table.standing(web).policy == three->policies[0].number);
    CHECK(edpi.table.standing(names) == Standing{0, true});
    CHECK(edpi.counts(*three, 0).met.packets == 0); // another policy
    CHECK(edpi.run(build({.sport = 1})).verdict == XDP_PASS);
    CHECK(edpi.counts(*three, 0).met.packets == 1);
}

TEST_CASE("a flow whose name a daemon knew keeps the policy by that name")
{
    Judged edpi(json::object());
    const auto slot = edpi.slot_of(edpi.run(build({})).seen);
    const json by_name =
        json::array({{{"name", "x"}, {"action", "forward"}, {"application", {"DNS"}}},
                     {{"name", "y"}, {"action", "drop"}, {"host", {"*.example.org"}}},
                     {{"name", "z"}, {"action", "mark"}, {"dscp", 1}}});
    auto rules = edpi.rules_of(by_name);
    edpi.table.name(slot, 0, http);
    edpi.table.close_inspection(slot);
    edpi.table.set_standing(slot, {rules->policies[1].number, true});
    // Another daemon, which has the table alone.
    edpi.policies_table = must(Policies::bind(edpi.maps));
    auto flows = edpi.flows_with([](const json &) { return true; });
    rules = edpi.rules_of(by_name);
    flows->set(rules);
    CHECK(edpi.table.standing(slot).policy == rules->policies[1].number);
    rules = edpi.rules_of(json::array({by_name[0], by_name[2]}));
    flows->set(rules);
    CHECK(edpi.table.standing(slot).policy == rules->policies[1].number);
}

TEST_CASE("by its bytes a flow becomes an elephant at once, by its rate at a sweep")
{
    const bool by_bytes = GENERATE(true, false);
    const json elephants = by_bytes ? json{{"bytes", 20000}} : json{{"rate", "160 kbit/s"}};
    Judged edpi(json{{"mode", "stack"}, {"elephants", elephants}});
    auto flows = edpi.flows_with([](const json &) { return true; });
    const Bytes packet = build({.payload = Bytes(1000)});
    const auto slot = edpi.slot_of(edpi.run(packet).seen);
    edpi.table.name(slot, 0, http);
    edpi.table.close_inspection(slot);
    const auto packets = [&](unsigned n) {
        for (unsigned i = 0; i < n; ++i)
            edpi.run(packet);
    };
    constexpr std::uint64_t second = 1'000'000'000;
    const auto now = edpi::now_ns();
    flows->set(edpi.rules_of(json::array(), elephants));
    flows->sweep(now);
    packets(10);
    flows->sweep(now + second);
    CHECK_FALSE(edpi.table.standing(slot).kept);
    packets(20);
    if (!by_bytes)
        flows->sweep(now + 2 * second);
    CHECK(edpi.table.standing(slot).kept);
    edpi.left(stage_at, NEXT);
    edpi.run(packet);
    CHECK(edpi.left(stage_at, NEXT) == 1);
}

TEST_CASE("a flow whose copies were lost is given up, and no longer goes the slow way")
{
    Judged edpi(json{{"mode", "stack"}, {"tcp_packets", 3}});
    auto flows = edpi.flows_with([](const json &) { return true; });
    flows->set(edpi.rules_of(json::array(), "always"));
    const Bytes packet = build({});
    const auto slot = edpi.slot_of(edpi.run(packet).seen); // nobody reads the copies
    const auto now = edpi::now_ns();
    constexpr std::uint64_t second = 1'000'000'000;
    for (unsigned i = 0; i < 3; ++i) { // it is under inspection as long as copies are made
        edpi.run(packet);
        flows->sweep(now + i * second);
        REQUIRE(flows->table().state(slot) == EDPI_OPEN);
    }
    flows->sweep(now + 3 * second); // without a packet meanwhile: the next may be copied
    CHECK(flows->table().state(slot) == EDPI_OPEN);
    edpi.run(packet);
    CHECK(edpi.left(stage_at, NEXT) == 0);
    flows->sweep(now + 4 * second);
    CHECK(flows->table().state(slot) == EDPI_GIVEN_UP);
    edpi.run(packet);
    CHECK(edpi.left(stage_at, NEXT) == 1);
}

TEST_CASE("a packet that waits is dropped by the name in it, and those after it at once")
{
    Judged edpi(json{{"mode", "xsk"}});
    auto flows = edpi.flows_with([](const json &) { return true; });
    const auto rules = edpi.rules_of(
        json::array({{{"name", "x"}, {"action", "drop"}, {"host", {"*.example.org"}}}}));
    flows->set(rules);
    // The worker's answer to a packet that the stage sent it; the reason must have been so.
    const auto ask = [&](const Bytes &packet) {
        const Ran ran = edpi.run(packet);
        REQUIRE(edpi.left(stage_at, EDPI_SLOW_INSPECT) == 1);
        return flows->pass({packet, true, nullptr, ran.seen.note, ran.seen.l3_off}, 1000);
    };
    const auto answer = [](Frame f) {
        std::swap(f.src, f.dst);
        std::swap(f.sport, f.dport);
        return f;
    };
    const auto begin = [&](std::uint16_t port) {
        CHECK(ask(build({.sport = port, .tcp_flags = 0x02, .payload = {}})));
        CHECK(ask(build(answer({.sport = port, .tcp_flags = 0x12, .payload = {}}))));
        CHECK(ask(build({.sport = port, .payload = {}})));
    };
    const auto request = [](std::uint16_t port, const std::string &host) {
        const std::string text = "GET / HTTP/1.1\r\nHost: " + host + "\r\nUser-Agent: x\r\n\r\n";
        return build({.sport = port, .tcp_flags = 0x18, .payload = {text.begin(), text.end()}});
    };
    begin(1000);
    CHECK(ask(request(1000, "www.example.com")));
    begin(2000);
    const Bytes bad = request(2000, "www.example.org");
    CHECK_FALSE(ask(bad));
    edpi.run(bad);
    CHECK(edpi.left(stage_at, EDPI_DROP_POLICY) == 1);
    const auto counts = edpi.counts(*rules, 0);
    CHECK(counts.dropped.packets == 2);
    CHECK(counts.dropped.bytes == 2 * bad.size());
    // A packet of a flow that has ended meanwhile has nobody against it.
    const auto slot = edpi.slot_of(edpi.run(bad).seen);
    CHECK(flows->pass({bad, true, nullptr, EDPI_NOTE(slot, 0ULL), 14}, 1000));
    CHECK_FALSE(
        flows->pass({bad, true, nullptr, EDPI_NOTE(slot, edpi.table.flow(slot).first), 14}, 1000));
}

TEST_CASE("what is wrong with a policy is said, and where")
{
    struct Row {
        json policy;
        std::string where, what;
    };
    const std::vector<Row> rows{
        {{{"action", "drop"}}, "/policy/0", "a name is missing"},
        {{{"name", "a b"}, {"action", "drop"}}, "/policy/0/name", "letters, digits"},
        {{{"name", "a"}}, "/policy/0", "a policy has an action"},
        {{{"name", "a"}, {"action", "block"}}, "/policy/0/action", "'block' is not an action"},
        {{{"name", "a"}, {"action", "drop"}, {"application", {"DNS", "DNA"}}},
         "/policy/0/application/1",
         "nDPI has no application 'DNA'"},
        {{{"name", "a"}, {"action", "drop"}, {"category", {"webb"}}},
         "/policy/0/category/0",
         "nDPI has no category 'webb'"},
        {{{"name", "a"}, {"action", "drop"}, {"host", {"a b"}}}, "/policy/0/host/0", "a host is"},
        {{{"name", "a"}, {"action", "drop"}, {"host", "a"}}, "/policy/0/host", "array of strings"},
        {{{"name", "a"}, {"action", "limit"}}, "/policy/0", "a rate is missing"},
        {{{"name", "a"}, {"action", "limit"}, {"rate", "7999 bit/s"}},
         "/policy/0/rate",
         "8 kbit/s"},
        {{{"name", "a"}, {"action", "limit"}, {"rate", "1 mbit/s"}, {"burst", 1}},
         "/policy/0/burst",
         "burst is a number from 2000"},
        {{{"name", "a"}, {"action", "mark"}, {"dscp", 64}}, "/policy/0/dscp", "from 0 to 63"},
        {{{"name", "a"}, {"action", "mark"}, {"dscp", "efx"}}, "/policy/0/dscp", "a DSCP is"},
        {{{"name", "a"}, {"action", "send"}, {"to", "way9"}}, "/policy/0/to", "way1 to way8"},
        {{{"name", "a"}, {"action", "send"}, {"to", "way1"}, {"rate", "1 mbit/s"}},
         "/policy/0/rate",
         "rate is of the action limit, not of send"},
    };
    for (const auto &row : rows) {
        const auto r = edpi::check_section({{"policy", json::array({row.policy})}}, nullptr);
        INFO(row.policy.dump());
        REQUIRE_FALSE(r);
        CHECK(r.error().where == row.where);
        CHECK_THAT(r.error().what, Catch::Contains(row.what));
    }
    const json one{{"name", "a"}, {"action", "drop"}};
    CHECK(edpi::check_section({{"policy", {one, one}}}, nullptr).error().where == "/policy/1/name");
    const auto lines =
        edpi::diff_sections(must(edpi::check_section({{"policy", json::array({one})}}, nullptr)),
                            must(edpi::check_section({{"elephants", {{"bytes", 5}}}}, nullptr)));
    CHECK(lines == std::vector<std::string>{"~ edpi elephants \"always\" -> {\"bytes\":5}",
                                            "- edpi policy a"});
}
