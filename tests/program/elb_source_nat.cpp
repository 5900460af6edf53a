// SPDX-License-Identifier: GPL-2.0-or-later
// elb's source NAT: every packet is right to the last bit both ways, no living connection's way
// back is another's, and what happens when there are no ports left.
#include <catch2/catch.hpp>

#include <linux/bpf.h>

#include <atomic>
#include <chrono>
#include <set>
#include <thread>

#include "support/beside.hpp"
#include "support/elb_source_nat.hpp"
#include "support/fragments.hpp"
#include "vnfs/elb/connections.hpp"

using namespace evnf;
using namespace evnf::test;

namespace
{

class SourceNat : public Connected
{
public:
    // What became of a frame: who it comes from and goes to, as the stage says; its bytes must
    // say the same.
    std::pair<Side, Side> passes(const Frame &f, unsigned reason)
    {
        const Ran r = run(build(f));
        INFO("in\n" << hex(build(f)) << "\nout\n" << hex(r.out));
        REQUIRE(left(stage_at, reason) == 1);
        const std::pair out{side(r.seen.flow.saddr, r.seen.flow.sport),
                            side(r.seen.flow.daddr, r.seen.flow.dport)};
        REQUIRE(r.out == build(between(f, out.first, out.second)));
        return out;
    }
    // A frame of a client; gives the source and the backend.
    std::pair<Side, Side> there(const Frame &f) { return passes(f, ELB_NEXT_BACKEND); }
    // What a backend says to a source; gives the client.
    Side back(Frame f, const Side &source, const Side &backend, const Side &vip_side)
    {
        const auto [from, to] = passes(between(f, backend, source), ELB_NEXT_CLIENT);
        REQUIRE(from == vip_side);
        return to;
    }
    // A whole handshake from a client's first frame.
    std::pair<Side, Side> open(Frame f)
    {
        const Side vip_side{f.dst, f.dport};
        f.tcp_flags = syn;
        const auto way = there(f);
        Frame answer = f;
        answer.tcp_flags = syn | ack;
        answer.tcp_seq = 77;
        const Side client_side{f.src, f.sport};
        REQUIRE(back(answer, way.first, way.second, vip_side) == client_side);
        f.tcp_flags = ack;
        f.tcp_ack = 78;
        REQUIRE(there(f) == way);
        return way;
    }
};

json with_sources(unsigned backends, const std::string &ports = "1024-32767")
{
    return source_nat(service(vip, 80, "tcp", servers(backends)), {"10.0.2.1", "10.0.2.2"}, ports);
}

Frame random_client(Random &random, bool six, std::uint8_t proto)
{
    Frame f = to_vip(six ? "2001:db8:9::" + std::to_string(1 + roll(random, 9000))
                         : "203.0.113." + std::to_string(1 + roll(random, 250)),
                     1 + roll(random, 65535), proto);
    f.tcp_seq = static_cast<std::uint32_t>(random());
    f.payload.resize(roll(random, 100));
    for (auto &byte : f.payload)
        byte = static_cast<std::uint8_t>(random());
    f.csum = roll(random, 4)                                   ? Csum::right
             : proto == IPPROTO_UDP && !six && roll(random, 2) ? Csum::zero
                                                               : Csum::partial;
    return f;
}

} // namespace

TEST_CASE_METHOD(SourceNat, "both ends are rewritten, there and back, and as an established one")
{
    const std::vector<json> services6{backend("2001:db8:2::11", 8080),
                                      backend("2001:db8:2::12", 80)};
    for (const std::string proto : {"tcp", "udp"}) {
        configure({source_nat(service(vip, 80, proto, servers(3)), {"10.0.2.1", "10.0.2.2"}),
                   source_nat(service(vip6, 80, proto, services6), {"2001:db8:2::1"}, "5000")});
        Random random(3);
        for (int i = 0; i < 300; ++i) {
            const bool six = i % 2;
            if (six && i > 40)
                continue; // one port
            Frame f = random_client(random, six, proto == "tcp" ? IPPROTO_TCP : IPPROTO_UDP);
            if (six)
                f.sport = 5000; // of two backends and many clients
            const Side client_side{f.src, f.sport}, vip_side{f.dst, f.dport};
            const Ran first = run(build(f));
            if (left(stage_at, ELB_DROP_SOURCES)) {
                CHECK(six);
                continue;
            }
            const Side source = side(first.seen.flow.saddr, first.seen.flow.sport);
            const Side server = side(first.seen.flow.daddr, first.seen.flow.dport);
            CHECK((six ? source.address == "2001:db8:2::1"
                       : source.address == "10.0.2.1" || source.address == "10.0.2.2"));
            CHECK((source.port >= 1024 && source.port <= 32767));
            left(stage_at, ELB_NEXT_BACKEND);
            for (int packet = 0; packet < 6; ++packet) {
                Frame answer = random_client(random, six, f.proto);
                answer.tcp_flags = packet ? ack : syn | ack;
                answer.tcp_seq = 0;
                CHECK(back(answer, source, server, vip_side) == client_side);
                f.tcp_flags = ack | psh;
                CHECK(there(f) == std::pair(source, server));
            }
        }
        CHECK(established() > 100);
    }
}

TEST_CASE("no way back is another's while its connection lives, and a connection keeps its own")
{
    for (unsigned seed = 1; seed <= 6; ++seed) {
        SourceNat elb;
        Random random(seed);
        WaysBack model;
        // 2 sources × 40 ports × 2 backends for up to 400 clients.
        const auto config = [&](unsigned first, unsigned second) {
            elb.configure({source_nat(
                service(vip, 80, "tcp",
                        {backend("10.0.2.11", 8080, first), backend("10.0.2.12", 8080, second)}),
                {"10.0.2.1", "10.0.2.2"}, "2000-2039")});
        };
        config(1, 1);
        unsigned refused = 0;
        for (int step = 0; step < 4000; ++step) {
            if (roll(random, 200) == 0)
                config(1 + roll(random, 9), 1 + roll(random, 9));
            Frame f = to_vip("203.0.113." + std::to_string(1 + roll(random, 10)),
                             2000 + roll(random, 40));
            const Side client_side{f.src, f.sport}, vip_side{vip, 80};
            INFO("seed " << seed << " step " << step << " client " << f.src << " " << f.sport);
            f.tcp_flags = model.living(client_side) ? static_cast<std::uint8_t>(ack) : syn;
            const Ran r = elb.run(build(f));
            if (elb.left(stage_at, ELB_DROP_SOURCES)) {
                REQUIRE_FALSE(model.living(client_side));
                ++refused;
                continue;
            }
            REQUIRE(elb.left(stage_at, ELB_NEXT_BACKEND) == 1);
            const Side source = side(r.seen.flow.saddr, r.seen.flow.sport);
            const Side server = side(r.seen.flow.daddr, r.seen.flow.dport);
            REQUIRE(r.out == build(between(f, source, server)));
            model.placed(client_side, source, server);
            if (roll(random, 3) == 0)
                continue; // a handshake that goes no further
            Frame answer = f;
            answer.tcp_flags = syn | ack;
            answer.tcp_seq = 0;
            REQUIRE(elb.back(answer, source, server, vip_side) == client_side);
            f.tcp_flags = ack;
            REQUIRE(elb.there(f) == std::pair(source, server));
            model.lives(client_side);
            if (roll(random, 4))
                continue;
            for (const bool by_client : {true, false}) {
                f.tcp_flags = answer.tcp_flags = fin | ack;
                if (by_client)
                    REQUIRE(elb.there(f) == std::pair(source, server));
                else
                    REQUIRE(elb.back(answer, source, server, vip_side) == client_side);
            }
            model.ends(client_side);
        }
        CHECK(refused > 0); // or there was no strain
        CHECK(model.living() > 100);
    }
}

TEST_CASE_METHOD(SourceNat, "the client's port is kept if it is in the range and free")
{
    configure({with_sources(1)});
    for (const unsigned port : {1024U, 5000U, 32767U})
        CHECK(open(to_vip("203.0.113.1", port)).first.port == port);
    for (const unsigned port : {1U, 1023U, 32768U, 65535U})
        CHECK(open(to_vip("203.0.113.1", port)).first.port != port);
    std::set<Side> taken;
    for (unsigned n = 1; n <= 100; ++n)
        CHECK(taken.insert(open(to_vip("203.0.113." + std::to_string(n), 6000)).first).second);
}

TEST_CASE_METHOD(SourceNat, "living connections that have all ports leave new ones none")
{
    configure({source_nat(service(vip, 80, "tcp", servers(1)), {"10.0.2.1"}, "2000-2007")});
    std::map<unsigned, std::pair<Side, Side>> ways;
    for (unsigned n = 1; ways.size() < 8; ++n) {
        REQUIRE(n < 200);
        const Frame f = to_vip("203.0.113." + std::to_string(n), 2000);
        run(build(f));
        const bool placed = left(stage_at, ELB_NEXT_BACKEND) == 1;
        if (placed)
            ways[n] = open(f);
        CHECK(left(stage_at, ELB_DROP_SOURCES) == (placed ? 0 : 1));
    }
    for (unsigned n = 201; n < 230; ++n) {
        run(build(to_vip("203.0.113." + std::to_string(n), 2000)));
        CHECK(left(stage_at, ELB_DROP_SOURCES) == 1);
    }
    for (const auto &[n, way] : ways) {
        Frame f = to_vip("203.0.113." + std::to_string(n), 2000, IPPROTO_TCP, ack);
        CHECK(there(f) == way);
        CHECK(back(f, way.first, way.second, {vip, 80}).address == f.src);
    }
    // One that has ended on both sides leaves its way.
    const auto [n, way] = *ways.begin();
    Frame f = to_vip("203.0.113." + std::to_string(n), 2000, IPPROTO_TCP, fin | ack);
    there(f);
    back(f, way.first, way.second, {vip, 80});
    std::size_t given = 0;
    for (unsigned other = 201; other < 230; ++other) {
        const Ran r = run(build(to_vip("203.0.113." + std::to_string(other), 2000)));
        if (left(stage_at, ELB_DROP_SOURCES))
            continue;
        ++given;
        CHECK(side(r.seen.flow.saddr, r.seen.flow.sport) == way.first);
    }
    CHECK(given > 0); // one after the other: none of them is established
    CHECK(established() == 7);
}

TEST_CASE_METHOD(SourceNat, "a flood of handshakes takes no way from who is established")
{
    configure({source_nat(service(vip, 80, "tcp", servers(2)), {"10.0.2.1"}, "2000-2999")});
    std::map<unsigned, std::pair<Side, Side>> ways;
    for (unsigned port = 2000; port < 2200; ++port)
        ways[port] = open(to_vip(client, port));
    Random random(5);
    for (int i = 0; i < 30'000; ++i)
        run(build(random_client(random, false, IPPROTO_TCP)));
    left(stage_at, ELB_NEXT_BACKEND);
    CHECK(open(to_vip(client, 2500)).first.port >= 2000);
    for (const auto &[port, way] : ways) {
        const Frame f = to_vip(client, port, IPPROTO_TCP, ack);
        CHECK(there(f) == way);
        CHECK(back(f, way.first, way.second, {vip, 80}) == Side{client, port});
    }
}

TEST_CASE_METHOD(SourceNat, "who has lost its way back to another is placed anew")
{
    configure({source_nat(service(vip, 80, "tcp", servers(1)), {"10.0.2.1"}, "2000")});
    const Frame first = to_vip("203.0.113.1", 2000), second = to_vip("203.0.113.2", 2000);
    const auto way = there(first);
    Frame answer = first;
    answer.tcp_flags = syn | ack;
    CHECK(back(answer, way.first, way.second, {vip, 80}).address == first.src);
    CHECK(there(second) == way); // of one that only opens
    CHECK(back(answer, way.first, way.second, {vip, 80}).address == second.src);
    Frame late = first;
    late.tcp_flags = ack;
    late.tcp_ack = 2;
    CHECK(there(late) == way); // takes it back, the second being no further
    CHECK(established() == 0); // and did not become the second's
    CHECK(open(second) == way);
    run(build(late));
    CHECK(left(stage_at, ELB_DROP_SOURCES) == 1);
}

TEST_CASE_METHOD(SourceNat, "services with and without source NAT share a backend")
{
    configure({with_sources(1), service("192.0.2.20", 80, "tcp", servers(1))});
    const auto way = open(to_vip(client, 2000));
    Frame plain = to_vip(client, 2000);
    plain.dst = "192.0.2.20";
    CHECK(there(plain) == std::pair(Side{client, 2000}, Side{"10.0.2.11", 8080}));
    Frame answer = plain;
    answer.tcp_flags = syn | ack;
    CHECK(back(answer, {client, 2000}, way.second, {"192.0.2.20", 80}) == Side{client, 2000});
    CHECK(back(answer, way.first, way.second, {vip, 80}) == Side{client, 2000});
    // A client that is the source itself, with the very port.
    plain.src = way.first.address;
    plain.sport = static_cast<std::uint16_t>(way.first.port);
    run(build(plain));
    CHECK(left(stage_at, ELB_DROP_WAY_BACK) == 1);
}

TEST_CASE_METHOD(SourceNat, "an ICMP error reaches the side that sent the packet, as it sent it")
{
    configure(
        {with_sources(1),
         source_nat(service(vip6, 80, "udp", {backend("2001:db8:2::11", 53)}), {"2001:db8:2::1"})});
    Random random(11);
    for (int i = 0; i < 500; ++i) {
        const bool six = roll(random, 2), about_client = roll(random, 2);
        Frame f = to_vip(six ? client6 : client, 1 + roll(random, 60000),
                         six ? IPPROTO_UDP : IPPROTO_TCP);
        f.payload.resize(roll(random, 60));
        const Side client_side{f.src, f.sport}, vip_side{f.dst, 80};
        const auto way = there(f);
        if (roll(random, 2)) {
            back(f, way.first, way.second, vip_side);
            Frame answer = f;
            answer.tcp_flags = syn | ack;
            answer.tcp_seq = 0;
            back(answer, way.first, way.second, vip_side);
            f.tcp_flags = ack;
            CHECK(there(f) == way);
        }
        const auto error = [&](const Side &from, const Side &to, const std::string &router,
                               std::size_t bytes) {
            const Bytes whole = build(between(f, from, to));
            const Layout at = layout(f);
            const auto end = std::min(at.l3 + bytes, at.end);
            return Frame{.src = router,
                         .dst = from.address,
                         .proto = static_cast<std::uint8_t>(six ? 58 : 1),
                         .icmp_type = static_cast<std::uint8_t>(six ? 2 : 3),
                         .icmp_code = static_cast<std::uint8_t>(six ? 0 : 4),
                         .payload = Bytes(whole.begin() + static_cast<long>(at.l3),
                                          whole.begin() + static_cast<long>(end))};
        };
        // As netfilter, not with half a checksum: see elb_netfilter.cpp.
        const std::size_t bytes = (six ? 40 : 20) + (roll(random, 2) ? 8 : 20 + roll(random, 60));
        const std::string router = six ? "2001:db8:77::1" : "203.0.113.77";
        // What netfilter's NAT makes of it: the router seems to be at the other end.
        if (about_client) {
            const Frame in = error(way.first, way.second, router, bytes);
            const Frame want = error(client_side, vip_side, f.dst, bytes);
            const Ran r = run(build(in));
            REQUIRE(left(stage_at, ELB_NEXT_CLIENT) == 1);
            INFO("in\n" << hex(build(in)) << "\nout\n" << hex(r.out));
            REQUIRE(r.out == build(want));
            CHECK(address_of(r.seen.quoted.saddr) == client_side.address);
        } else {
            const Frame in = error(vip_side, client_side, router, bytes);
            const Frame want = error(way.second, way.first, way.first.address, bytes);
            const Ran r = run(build(in));
            REQUIRE(left(stage_at, ELB_NEXT_BACKEND) == 1);
            INFO("in\n" << hex(build(in)) << "\nout\n" << hex(r.out));
            REQUIRE(r.out == build(want));
            CHECK(address_of(r.seen.quoted.daddr) == way.first.address);
        }
    }
}

TEST_CASE_METHOD(SourceNat, "connections are aged, listed and forgotten with both their ends")
{
    configure({with_sources(1)});
    elb::Connections connections = must(elb::Connections::bind(maps));
    for (unsigned port = 2000; port < 2010; ++port)
        open(to_vip(client, port));
    auto page = must(connections.page(0));
    REQUIRE(page.connections.size() == 10);
    for (const auto &known : page.connections) {
        REQUIRE(known.back);
        CHECK(side(known.back->far.addr, known.back->far.port) ==
              side(known.flow.saddr, known.flow.sport));
    }
    connections.forget(page.connections.front());
    CHECK(established() == 9);
    const auto begin = std::chrono::steady_clock::now();
    for (const int seconds : {0, 7440, 7441})
        for (int i = 0; i < 4; ++i)
            must(connections.tick(begin + std::chrono::seconds(seconds), {}));
    CHECK(must(bpf::Map<flow_key, elb_conn>::bind(maps, "elb_conns")).keys().empty());
}

TEST_CASE_METHOD(SourceNat, "fragments follow the first, with both ends rewritten")
{
    for (const std::string proto : {"tcp", "udp"}) {
        configure({source_nat(service(vip, 80, proto, servers(3)), {"10.0.2.1", "10.0.2.2"}),
                   source_nat(service(vip6, 80, proto, {backend("2001:db8:2::11", 8080)}),
                              {"2001:db8:2::1"})});
        Random random(31);
        for (unsigned i = 0; i < 200; ++i) {
            const bool six = i % 2, tcp = proto == "tcp";
            Frame f = to_vip(six ? client6 : client, 2000 + i, tcp ? IPPROTO_TCP : IPPROTO_UDP);
            const Side client_side{f.src, f.sport}, vip_side{f.dst, f.dport};
            const auto [source, server] = roll(random, 2) ? open(f) : there(f);
            for (const bool from_client : {true, false}) {
                Frame in = from_client ? f : between(f, server, source);
                in.tcp_flags = ack;
                in.payload.resize(100 + roll(random, 3000));
                for (auto &byte : in.payload)
                    byte = static_cast<std::uint8_t>(random());
                const Frame want =
                    from_client ? between(in, source, server) : between(in, vip_side, client_side);
                const Layout at = layout(in);
                const auto cuts = random_cuts(random, tcp ? 20 : 8, at.end - at.l4);
                const auto parts = fragments(in, build(in), i, cuts);
                const auto wanted = fragments(want, build(want), i, cuts);
                for (std::size_t k = 0; k < parts.size(); ++k) {
                    const Ran r = run(parts[k]);
                    INFO("fragment " << k << "\nin\n"
                                     << hex(parts[k]) << "\nout\n"
                                     << hex(r.out) << "\nwant\n"
                                     << hex(wanted[k]));
                    REQUIRE(left(stage_at, from_client ? ELB_NEXT_BACKEND : ELB_NEXT_CLIENT) == 1);
                    REQUIRE(r.out == wanted[k]);
                    REQUIRE(address_of(r.seen.flow.saddr) == want.src);
                    REQUIRE(address_of(r.seen.flow.daddr) == want.dst);
                }
            }
        }
    }
}

TEST_CASE_METHOD(SourceNat, "in a service of many ports a way back is of one backend's port")
{
    json ranges =
        source_nat(service(vip, 0, "tcp", {{{"address", "10.0.2.11"}}}), {"10.0.2.1"}, "2000-2003");
    ranges["port"] = "7000-7999";
    json other = source_nat(service("192.0.2.20", 80, "tcp", {backend("10.0.2.11", 7003)}),
                            {"10.0.2.1"}, "2000-2003");
    configure({ranges, other});
    std::map<std::pair<Side, Side>, Frame> ways; // of connections that live
    unsigned refused = 0;
    for (unsigned n = 1; n <= 60; ++n) {
        Frame f = to_vip("203.0.113." + std::to_string(n), 2000);
        f.dport = static_cast<std::uint16_t>(7000 + n % 6);
        if (n % 3 == 0) {
            f.dst = "192.0.2.20";
            f.dport = 80;
        }
        run(build(f));
        if (left(stage_at, ELB_DROP_SOURCES)) {
            ++refused;
            continue;
        }
        left(stage_at, ELB_NEXT_BACKEND);
        const auto way = open(f);
        CHECK(way.second == Side{"10.0.2.11", f.dport == 80 ? 7003U : f.dport});
        CHECK(ways.emplace(way, f).second);
    }
    CHECK(refused > 0);
    CHECK(ways.size() > 15); // six ports have room for 24
    for (const auto &[way, f] : ways) {
        Frame go_on = f;
        go_on.tcp_flags = ack;
        CHECK(there(go_on) == way);
        CHECK(back(go_on, way.first, way.second, {f.dst, f.dport}) == Side{f.src, f.sport});
    }
}

TEST_CASE_METHOD(SourceNat, "while the sources change each packet has the old ones or the new")
{
    // Few ways, and most of them taken: each new client makes elb look at many.
    const auto serve = [&](bool other) {
        std::vector<std::string> sources;
        for (unsigned i = 1; i <= ELB_MAX_SOURCES; ++i)
            sources.push_back((other ? "10.0.3." : "10.0.2.") + std::to_string(i));
        configure({source_nat(service(vip, 80, "udp", servers(2)), sources,
                              other ? "3000-3003" : "2000-2003")});
    };
    serve(false);
    std::atomic<bool> stop = false;
    std::atomic<unsigned> changes = 0;
    std::atomic<bool> beside = true;
    std::thread operator_([&] {
        beside = beside_the_packets();
        for (; !stop; ++changes)
            serve(changes % 2 == 0);
    });
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    Random random(11);
    std::set<Side> strange;
    unsigned old = 0, fresh = 0;
    while (changes < 200 && std::chrono::steady_clock::now() < deadline) {
        const Ran r = run(build(random_client(random, false, IPPROTO_UDP)));
        const Side source = side(r.seen.flow.saddr, r.seen.flow.sport);
        if (source.address.starts_with("10.0.2.") && source.port / 1000 == 2)
            ++old;
        else if (source.address.starts_with("10.0.3.") && source.port / 1000 == 3)
            ++fresh;
        else
            strange.insert(source);
    }
    stop = true;
    operator_.join();
    CHECK(changes >= 200);
    CHECK(beside);
    CHECK(old > 0);
    CHECK(fresh > 0);
    CHECK(strange.empty());
}
