// SPDX-License-Identifier: GPL-2.0-or-later
// elb's connections: when they are established, that those then stay where they are whatever
// comes, when they end, and what ICMP errors about them become.
#include <catch2/catch.hpp>

#include <linux/bpf.h>

#include <map>
#include <set>

#include "support/elb_connected.hpp"
#include "vnfs/elb/connections.hpp"

using namespace evnf;
using namespace evnf::test;

namespace
{

Frame random_syn(Random &random)
{
    Frame f = to_vip("203.0." + std::to_string(roll(random, 256)) + "." +
                         std::to_string(roll(random, 256)),
                     1024 + roll(random, 60000));
    return f;
}

} // namespace

TEST_CASE_METHOD(Connected, "a connection is established by who has seen the backend's answer")
{
    configure({service(vip, 80, "tcp", servers(1))});
    const Frame open = to_vip(client, 4000);
    Frame data = open;
    data.tcp_flags = ack;
    run(build(open));
    run(build(data)); // before any answer
    CHECK(established() == 0);
    Frame answer = answer_to(open, "10.0.2.11", 8080, syn | ack);
    answer.tcp_seq = 0xffffffff;
    CHECK(comes_from(answer) == vip);
    run(build(answer_to(open, "10.0.2.11", 8080, ack))); // as to a forged SYN
    for (const std::uint32_t number : {1U, 0xffffffffU, 0x80000000U}) {
        data.tcp_ack = number;
        run(build(data));
        CHECK(established() == 0);
    }
    data.tcp_ack = 0;
    data.tcp_flags = psh; // no ACK
    run(build(data));
    CHECK(established() == 0);
    data.tcp_flags = ack | psh;
    run(build(data));
    CHECK(established() == 1);
    CHECK(shown()["established"] == 1);
    CHECK(shown()["connections"] == 1);
    CHECK(comes_from(answer_to(open, "10.0.2.11", 8080)) == vip);
}

TEST_CASE_METHOD(Connected, "a client that ends at once, or has, establishes nothing")
{
    configure({service(vip, 80, "tcp", servers(1))});
    for (const std::uint8_t how : {fin, rst}) {
        const Frame open = to_vip(client, 4000U + how);
        run(build(open));
        run(build(answer_to(open, "10.0.2.11", 8080, syn | ack)));
        Frame last = open;
        last.tcp_ack = 2;
        for (const auto flags : {static_cast<std::uint8_t>(ack | how), ack}) {
            last.tcp_flags = flags;
            CHECK(goes_to(last) == "10.0.2.11");
        }
        CHECK(established() == 0);
    }
}

TEST_CASE_METHOD(Connected, "a backend that refuses establishes nothing")
{
    configure({service(vip, 80, "tcp", servers(1))});
    const Frame open = to_vip(client, 4000);
    Frame data = open;
    data.tcp_flags = ack;
    run(build(data)); // under way when elb came
    run(build(answer_to(open, "10.0.2.11", 8080, rst)));
    run(build(data));
    CHECK(established() == 0);
    run(build(open));
    run(build(answer_to(open, "10.0.2.11", 8080, ack))); // but one that goes on does
    run(build(data));
    CHECK(established() == 1);
}

TEST_CASE_METHOD(Connected, "UDP is established when it was answered and goes on")
{
    configure({service(vip, 53, "udp", {backend("10.0.2.11", 5353)})});
    Frame query = to_vip(client, 4000, IPPROTO_UDP);
    query.dport = 53;
    for (int i = 0; i < 3; ++i)
        run(build(query));
    CHECK(established() == 0);
    CHECK(comes_from(answer_to(query, "10.0.2.11", 5353)) == vip);
    CHECK(established() == 0);
    run(build(query));
    CHECK(established() == 1);
}

TEST_CASE_METHOD(Connected, "what a flood of SYNs opens, closes no connection")
{
    configure({service(vip, 80, "tcp", servers(8))});
    std::map<unsigned, std::string> at;
    for (unsigned port = 1; port <= 200; ++port)
        at[port] = establish(to_vip(client, port));
    Random random(5);
    for (int i = 0; i < 60'000; ++i)
        run(build(random_syn(random)));
    for (int i = 0; i < 2'000; ++i) { // also of the very connections
        Frame again = to_vip(client, 1 + roll(random, 200));
        again.tcp_seq = static_cast<std::uint32_t>(random());
        run(build(again));
    }
    std::vector<json> others = servers(8);
    for (auto &b : others)
        b["weight"] = b["address"] == "10.0.2.11" ? 1 : 0;
    configure({service(vip, 80, "tcp", others)});
    CHECK(established() == 200);
    for (const auto &[port, backend] : at) {
        CHECK(goes_to(to_vip(client, port, IPPROTO_TCP, ack)) == backend);
        CHECK(comes_from(answer_to(to_vip(client, port), backend, 8080)) == vip);
    }
}

TEST_CASE_METHOD(Connected, "where there is no more room connections go on as opening ones")
{
    configure({service(vip, 80, "tcp", servers(4))}, 1024);
    std::map<unsigned, std::string> at;
    for (unsigned port = 1; port <= 3000; ++port)
        at[port] = establish(to_vip(client, port));
    CHECK(established() >= 900); // the kernel keeps some entries for each CPU
    CHECK(established() <= 1024);
    for (const auto &[port, backend] : at) {
        CHECK(goes_to(to_vip(client, port, IPPROTO_TCP, ack)) == backend);
        CHECK(comes_from(answer_to(to_vip(client, port), backend, 8080)) == vip);
    }
}

TEST_CASE_METHOD(Connected, "ports of an ended connection open another, those of a living one not")
{
    for (const bool by_client : {true, false})
        for (const std::uint8_t how : {fin, rst}) {
            configure({service(vip, 80, "tcp", servers(1))});
            const Frame open = to_vip(client, 4000U + how + (by_client ? 100 : 0));
            establish(open);
            configure({service(vip, 80, "tcp", {backend("10.0.2.99", 8080)})});
            CHECK(goes_to(open) == "10.0.2.11");
            Frame end = open;
            end.tcp_flags = how | ack;
            run(build(by_client ? end : answer_to(open, "10.0.2.11", 8080, end.tcp_flags)));
            end.tcp_flags = ack;
            if (how == fin || !by_client)
                CHECK(goes_to(end) == "10.0.2.11"); // what is still said
            CHECK(establish(open) == "10.0.2.99");
            CHECK(comes_from(answer_to(open, "10.0.2.99", 8080)) == vip);
        }
}

TEST_CASE("a connection has one backend, whatever both sides and the operator do")
{
    struct Model {
        std::string at; // empty: never placed
        bool answered = false, ended = false;
    };
    for (unsigned seed = 1; seed <= 20; ++seed) {
        Connected elb;
        Random random(seed);
        std::map<unsigned, Model> connections;
        elb.configure({service(vip, 80, "tcp", servers(6))});
        for (int step = 0; step < 4000; ++step) {
            if (roll(random, 200) == 0) {
                std::vector<json> now;
                for (auto &b : servers(6))
                    if (roll(random, 4))
                        now.push_back(b), now.back()["weight"] = 1 + roll(random, 9);
                if (now.empty())
                    now = servers(1);
                elb.configure({service(vip, 80, "tcp", now)});
            }
            const unsigned port = 1 + roll(random, 40);
            Model &m = connections[port];
            constexpr std::array<std::uint8_t, 8> kinds{syn, ack, ack,       psh | ack,
                                                        ack, rst, fin | ack, psh | ack};
            const std::uint8_t flags = kinds[roll(random, kinds.size())];
            const bool ends = flags & (fin | rst);
            INFO("seed " << seed << " step " << step << " port " << port << " flags " << +flags);
            if (m.at.empty() || roll(random, 2)) {
                const std::string at = elb.goes_to(to_vip(client, port, IPPROTO_TCP, flags));
                const bool opens = flags == syn && (m.ended || !m.answered);
                if (m.at.empty() || opens)
                    m = {at};
                REQUIRE(at == m.at);
            } else {
                const bool answers = roll(random, 2);
                Frame f = answer_to(to_vip(client, port), m.at, 8080,
                                    answers && !ends ? syn | ack
                                    : flags == syn   ? ack
                                                     : flags);
                f.tcp_seq = 0; // the client's frames acknowledge 1
                REQUIRE(elb.comes_from(f) == vip);
                m.answered = true;
            }
            m.ended |= ends;
        }
        CHECK(elb.established() > 3);
    }
}

TEST_CASE_METHOD(Connected, "connections are forgotten when they have been silent for long")
{
    using std::chrono::seconds;
    configure({service(vip, 80, "tcp", servers(1)), service(vip, 80, "udp", servers(1))});
    elb::Connections connections = must(elb::Connections::bind(maps));
    const elb::Timeouts timeouts;
    const auto begin = std::chrono::steady_clock::now();
    const auto at = [&](std::uint32_t s) {
        for (unsigned i = 0; i < 4; ++i) // a whole pass
            must(connections.tick(begin + seconds(s), timeouts));
        return established();
    };
    CHECK(at(0) == 0);
    const Frame open = to_vip(client, 1), half = to_vip(client, 2), ended = to_vip(client, 3),
                reset = to_vip(client, 4), udp = to_vip(client, 5, IPPROTO_UDP);
    for (const Frame &f : {open, half, ended, reset, udp})
        establish(f);
    const auto end = [&](Frame f, std::uint8_t flags, bool both) {
        f.tcp_flags = flags;
        run(build(f));
        if (both)
            run(build(answer_to(f, "10.0.2.11", 8080, flags)));
    };
    end(half, fin | ack, false);
    end(ended, fin | ack, true);
    end(reset, rst, false);
    CHECK(at(1) == 5);
    CHECK(connections.active().count(0) + connections.active().count(1) == 2); // open, udp
    CHECK(at(60) == 5);
    CHECK(at(61) == 3);
    CHECK(at(240) == 3);
    CHECK(at(241) == 2);
    CHECK(at(250) == 2);
    run(build(answer_to(udp, "10.0.2.11", 8080))); // one side is enough
    CHECK(at(301) == 2);
    CHECK(at(550) == 2);
    CHECK(at(551) == 1);
    CHECK(at(7440) == 1);
    CHECK(at(7441) == 0);
}

TEST_CASE_METHOD(Connected, "time-outs that change count for the connections that there are")
{
    using std::chrono::seconds;
    configure({service(vip, 80, "tcp", {backend("10.0.2.11", 8080)}),
               service(vip6, 80, "tcp", {backend("2001:db8:2::11", 8080)})});
    elb::Connections connections = must(elb::Connections::bind(maps));
    establish(to_vip(client, 1));
    establish(to_vip(client6, 1));
    const auto begin = std::chrono::steady_clock::now();
    const auto left = [&](std::uint32_t s) {
        for (unsigned i = 0; i < 4; ++i) // a whole pass
            must(connections.tick(begin + seconds(s), elb::timeouts_of(section)));
        return established();
    };
    CHECK(left(0) == 2);
    CHECK(left(100) == 2);
    const auto set = [&](const json &all, const json &first) {
        json wanted = section;
        wanted["timeouts"] = all;
        wanted["service"][0]["timeouts"] = first;
        section = must(find_vnf("elb")->check(wanted, section));
        must(fast_path->apply(section));
    };
    set({{"tcp_established", 101}}, {{"tcp_established", 102}});
    CHECK(left(101) == 2);
    CHECK(left(102) == 1);
    CHECK(goes_to(to_vip(client, 1)) == "10.0.2.11");
    CHECK(must(bpf::Map<flow_key, elb_conn>::bind(maps, "elb_conns")).keys()[0].family == 4);
    CHECK(left(204) == 1); // from that packet on
    CHECK(left(205) == 0);
}

TEST_CASE_METHOD(Connected, "an ICMP error reaches the side that sent the packet, as it sent it")
{
    configure({service(vip, 80, "tcp", {backend("10.0.2.11", 8080)}),
               service(vip, 80, "udp", {backend("10.0.2.11", 5353)}),
               service("192.0.2.20", 80, "tcp", {backend("10.0.2.11", 8080)}), // shares it
               service(vip6, 80, "tcp", {backend("2001:db8:2::11", 8080)}),
               service(vip6, 80, "udp", {backend("2001:db8:2::11", 5353)})});
    Random random(11);
    const auto quote = [](const Frame &f, std::size_t bytes) {
        const Bytes whole = build(f);
        const Layout at = layout(f);
        const auto end = std::min(at.l3 + bytes, at.end);
        return Bytes(whole.begin() + static_cast<long>(at.l3),
                     whole.begin() + static_cast<long>(end));
    };
    for (int i = 0; i < 2000; ++i) {
        const bool six = roll(random, 2), tcp = roll(random, 2), to_backend = roll(random, 2);
        const std::string server = six ? "2001:db8:2::11" : "10.0.2.11";
        const unsigned port = tcp ? 8080 : 5353;
        Frame there = to_vip(six ? client6 : client, 1 + roll(random, 60000),
                             tcp ? IPPROTO_TCP : IPPROTO_UDP);
        run(build(there));
        if (roll(random, 2))
            establish(there, port);
        there.payload.resize(roll(random, 80));
        for (auto &byte : there.payload)
            byte = static_cast<std::uint8_t>(random());
        there.tcp_flags = ack;
        // As one side sent the packet, and as the router that tells of it saw it.
        Frame sent = there, seen = there;
        if (to_backend) {
            sent = answer_to(there, server, port);
            seen = answer_to(there, there.dst, 80);
        } else {
            seen.dst = server;
            seen.dport = static_cast<std::uint16_t>(port);
        }
        const std::string router = six ? "2001:db8:7::1" : "203.0.113.1";
        const std::size_t bytes = (six ? 40 : 20) + 8 + 2 * roll(random, 50);
        Frame error{.src = router,
                    .dst = seen.src,
                    .proto = static_cast<std::uint8_t>(six ? 58 : 1),
                    .icmp_type = static_cast<std::uint8_t>(six               ? 1 + roll(random, 4)
                                                           : roll(random, 2) ? 3
                                                                             : 11),
                    .icmp_code = static_cast<std::uint8_t>(roll(random, 5)),
                    .payload = quote(seen, bytes)};
        error.vlans.resize(roll(random, 3));
        Frame want = error;
        want.payload = quote(sent, bytes);
        if (to_backend)
            want.dst = server;
        else
            want.src = there.dst; // as netfilter has it
        const Bytes in = build(error), wanted = build(want);
        const Ran r = run(in);
        INFO("in\n" << hex(in) << "\nout\n" << hex(r.out) << "\nwant\n" << hex(wanted));
        REQUIRE(left(stage_at, to_backend ? ELB_NEXT_BACKEND : ELB_NEXT_CLIENT) > 0);
        REQUIRE(r.out == wanted);
        REQUIRE(address_of(r.seen.flow.daddr) == want.dst);
        REQUIRE(address_of(r.seen.quoted.saddr) == sent.src);
        REQUIRE(address_of(r.seen.quoted.daddr) == sent.dst);
        REQUIRE(ntohs(r.seen.quoted.sport) == sent.sport);
        REQUIRE(ntohs(r.seen.quoted.dport) == sent.dport);
        // A router tells only who sent the packet.
        Frame astray = error;
        astray.dst = six ? "2001:db8:9::8" : "198.51.100.8";
        const Bytes elsewhere = build(astray);
        REQUIRE(run(elsewhere).out == elsewhere);
        // About packets that are no connection's: nobody's business here.
        Frame foreign = error;
        seen.sport = static_cast<std::uint16_t>(seen.sport ^ 0x8000);
        seen.dport = static_cast<std::uint16_t>(seen.dport ^ 0x8000);
        foreign.payload = quote(seen, bytes);
        const Bytes other = build(foreign);
        REQUIRE(run(other).out == other);
    }
}
