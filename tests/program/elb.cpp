// SPDX-License-Identifier: GPL-2.0-or-later
// elb's fast path in a real chain: who gets a connection, who keeps it, and that every
// rewritten packet is right to the last bit.
#include <linux/bpf.h>

#include <map>
#include <set>

#include "support/elb.hpp"

using namespace evnf;
using namespace evnf::test;

namespace
{

// `out` must be `in` with the destination (or source) replaced and nothing else but the
// checksums; those must be right by recomputing.
void check_rewrite(const Frame &f, const Bytes &in, const Bytes &out, bool destination,
                   const std::string &address, unsigned port)
{
    Frame want = f;
    (destination ? want.dst : want.src) = address;
    (destination ? want.dport : want.sport) = static_cast<std::uint16_t>(port);
    const Bytes rebuilt = build(want); // checksums from scratch
    const Layout at = layout(f);
    INFO("in\n" << hex(in) << "\nout\n" << hex(out) << "\nwant\n" << hex(rebuilt));
    REQUIRE(out.size() == in.size());
    const bool v4 = f.src.find(':') == std::string::npos;
    if (v4)
        CHECK(header_sum(out, at.l3) == 0xffff);
    if (f.csum == Csum::right)
        CHECK(segment_sum(out, at.l3, at.l4, at.end, f.proto) == 0xffff);
    CHECK(out == rebuilt);
}

} // namespace

TEST_CASE_METHOD(Elb, "every rewritten packet is right, there and back")
{
    Random random(7);
    auto v4 = [&] {
        return std::to_string(1 + roll(random, 223)) + "." + std::to_string(roll(random, 256)) +
               "." + std::to_string(roll(random, 256)) + "." + std::to_string(roll(random, 256));
    };
    auto v6 = [&] {
        std::string s = "2001";
        for (int i = 0; i < 7; ++i) {
            char word[8];
            std::snprintf(word, sizeof word, ":%x", 1 + roll(random, 65535));
            s += word;
        }
        return s;
    };
    for (int i = 0; i < 200; ++i) {
        const bool six = roll(random, 2);
        const std::string proto = roll(random, 2) ? "tcp" : "udp";
        const std::string service_at = six ? v6() : v4(), backend_at = six ? v6() : v4();
        const unsigned service_port = 1 + roll(random, 65535);
        const unsigned backend_port = 1 + roll(random, 65535);
        if (service_at == backend_at)
            continue;
        configure({service(service_at, service_port, proto, {backend(backend_at, backend_port)})});
        for (int packet = 0; packet < 60; ++packet) {
            Frame f = random_frame(random);
            f.vlans.resize(std::min<std::size_t>(f.vlans.size(), 2));
            f.src = six ? v6() : v4();
            f.dst = service_at;
            f.proto = proto == "tcp" ? IPPROTO_TCP : IPPROTO_UDP;
            f.dport = static_cast<std::uint16_t>(service_port);
            f.tcp_flags = 0x02;
            f.frag = 0;
            f.ext.clear();
            if (six && roll(random, 3) == 0)
                f.ext = {{0, 8}, {60, 16}};
            f.ip_options = six ? 0 : f.ip_options;
            f.payload.resize(roll(random, 200));
            if (f.proto == IPPROTO_UDP && !six && roll(random, 4) == 0)
                f.csum = Csum::zero;
            if (roll(random, 4) == 0)
                f.csum = Csum::partial;
            const Bytes in = build(f);
            const Ran there = run(in);
            REQUIRE(left(stage_at, ELB_NEXT_BACKEND) == 1);
            check_rewrite(f, in, there.out, true, backend_at, backend_port);
            CHECK(address_of(there.seen.flow.daddr) == backend_at);
            CHECK(ntohs(there.seen.flow.dport) == backend_port);

            Frame answer = f;
            answer.src = backend_at;
            answer.dst = f.src;
            answer.sport = static_cast<std::uint16_t>(backend_port);
            answer.dport = f.sport;
            answer.tcp_flags = 0x12;
            const Bytes back_in = build(answer);
            const Ran back = run(back_in);
            REQUIRE(left(stage_at, ELB_NEXT_CLIENT) == 1);
            check_rewrite(answer, back_in, back.out, false, service_at, service_port);
        }
    }
}

TEST_CASE_METHOD(Elb, "a complete checksum that looks partial stays complete")
{
    configure({service(vip, 80, "udp", {backend("10.0.2.11", 8080)})});
    Frame f = to_vip("198.51.100.7", 4000, IPPROTO_UDP);
    f.payload = {0, 0, 0x12, 0x34, 0, 0};
    const Layout at = layout(f);
    // Choose the payload's first word so that the right checksum is the pseudo-header sum.
    for (unsigned word = 0; word < 0x10000; ++word) {
        f.payload[0] = static_cast<std::uint8_t>(word >> 8);
        f.payload[1] = static_cast<std::uint8_t>(word);
        const Bytes in = build(f);
        const unsigned field = in[at.l4 + 6] << 8 | in[at.l4 + 7];
        if (field != pseudo_sum(in, at.l3, at.end - at.l4, IPPROTO_UDP))
            continue;
        const Ran r = run(in);
        CHECK(r.seen.csum == PKT_CSUM_COMPLETE);
        check_rewrite(f, in, r.out, true, "10.0.2.11", 8080);
        return;
    }
    FAIL("no such payload");
}

TEST_CASE_METHOD(Elb, "a UDP checksum that comes out as zero is sent as 0xffff")
{
    configure({service(vip, 80, "udp", {backend("10.0.2.11", 8080)})});
    Frame f = to_vip("198.51.100.7", 4000, IPPROTO_UDP);
    Frame want = f;
    want.dst = "10.0.2.11";
    want.dport = 8080;
    const std::size_t field = layout(f).l4 + 6;
    for (unsigned word = 0; word < 0x10000; ++word) {
        want.payload[0] = f.payload[0] = static_cast<std::uint8_t>(word >> 8);
        want.payload[1] = f.payload[1] = static_cast<std::uint8_t>(word);
        const Bytes rebuilt = build(want);
        if (rebuilt[field] != 0xff || rebuilt[field + 1] != 0xff)
            continue;
        check_rewrite(f, build(f), run(build(f)).out, true, "10.0.2.11", 8080);
        return;
    }
    FAIL("no such payload");
}

TEST_CASE_METHOD(Elb, "an established connection keeps its backend, whatever changes")
{
    const json a = backend("10.0.2.11", 80), b = backend("10.0.2.12", 80);
    configure({service(vip, 80, "tcp", {a})});
    run(build(to_vip("198.51.100.7", 4000)));
    const Frame data = to_vip("198.51.100.7", 4000, IPPROTO_TCP, 0x18);
    auto goes_to = [&](const Frame &f) { return address_of(run(build(f)).seen.flow.daddr); };

    configure({service(vip, 80, "tcp", {backend("10.0.2.11", 80, 0), b})});
    CHECK(goes_to(data) == "10.0.2.11");
    CHECK(goes_to(to_vip("198.51.100.7", 4001)) == "10.0.2.12"); // a new one does not
    configure({service(vip, 80, "tcp", {b})});
    CHECK(goes_to(data) == "10.0.2.11");
    configure({});
    CHECK(goes_to(data) == "10.0.2.11");
    CHECK(goes_to(to_vip("198.51.100.7", 4002)) == vip); // no service: untouched
    configure({service(vip, 80, "tcp", {b})});
    CHECK(goes_to(to_vip("198.51.100.7", 4000)) == "10.0.2.12"); // opened anew: placed anew
}

TEST_CASE_METHOD(Elb, "shares of connections follow the weights")
{
    configure({service(vip, 80, "tcp",
                       {backend("10.0.2.11", 80, 3), backend("10.0.2.12", 80, 1),
                        backend("10.0.2.13", 80, 0)})},
              1 << 20);
    std::map<std::string, int> got;
    for (int i = 0; i < 40000; ++i) {
        const Frame f = to_vip("198.51." + std::to_string(i / 200 % 200) + ".9",
                               1024 + static_cast<unsigned>(i));
        ++got[address_of(run(build(f)).seen.flow.daddr)];
    }
    CHECK(got.size() == 2);
    CHECK(std::abs(got["10.0.2.11"] - 30000) < 900); // 10 standard deviations
    const json shown = fast_path->show(section)["service"][0]["backends"];
    CHECK(shown[0]["connections"] == got["10.0.2.11"]);
    CHECK(shown[0]["to_backend"]["packets"] == got["10.0.2.11"]);
    CHECK(shown[1]["connections"] == got["10.0.2.12"]);
    CHECK(shown[2]["connections"] == 0);
}

TEST_CASE_METHOD(Elb, "a SYN sent again is the same connection, a closed one is not")
{
    configure({service(vip, 80, "tcp", {backend("10.0.2.11", 80)})});
    auto connections = [&] {
        return fast_path->show(section)["service"][0]["backends"][0]["connections"].get<int>();
    };
    const Frame syn = to_vip("198.51.100.7", 4000);
    run(build(syn));
    run(build(syn));
    CHECK(connections() == 1);
    run(build(to_vip("198.51.100.7", 4000, IPPROTO_TCP, 0x11))); // FIN
    run(build(syn));
    CHECK(connections() == 2);
}

TEST_CASE_METHOD(Elb, "two services with one backend do not mix up a client's connections")
{
    const std::vector<json> one = {backend("10.0.2.11", 80)};
    configure({service(vip, 80, "tcp", one), service("192.0.2.20", 80, "tcp", one)});
    run(build(to_vip("198.51.100.7", 4000)));
    Frame other = to_vip("198.51.100.7", 4000);
    other.dst = "192.0.2.20"; // same client port, same backend: the same way back
    CHECK(run(build(other)).verdict == XDP_DROP);
    CHECK(left(stage_at, ELB_DROP_WAY_BACK) == 1);
    Frame answer{.src = "10.0.2.11", .dst = "198.51.100.7", .sport = 80, .dport = 4000};
    CHECK(address_of(run(build(answer)).seen.flow.saddr) == vip);
    // Once the first is closed from the backend's side, the second may have it.
    answer.tcp_flags = 0x11;
    run(build(answer));
    run(build(other));
    answer.tcp_flags = 0x12;
    CHECK(address_of(run(build(answer)).seen.flow.saddr) == "192.0.2.20");
}

TEST_CASE_METHOD(Elb, "what cannot be balanced as it is goes to the kernel, the rest goes on")
{
    configure({service(vip, 80, "tcp", {backend("10.0.2.11", 80)}),
               service(vip6, 80, "tcp", {backend("2001:db8:2::11", 80)}),
               service(vip, 81, "tcp", {})});
    auto goes = [&](const Frame &f) {
        const Bytes in = build(f);
        const Ran r = run(in);
        CHECK(r.out == in); // untouched
        for (unsigned reason = 0; reason < CHAIN_MAX_REASONS; ++reason)
            if (left(stage_at, reason))
                return reason;
        return ~0U;
    };
    Frame routed = to_vip("2001:db8:9::7", 1);
    routed.ext = {{43, 8}};
    CHECK(goes(routed) == SLOW_L4_UNKNOWN);
    Frame empty = to_vip("198.51.100.7", 1);
    empty.dport = 81;
    CHECK(goes(empty) == ELB_SLOW_NO_BACKEND);
    empty.dport = 82; // no service
    CHECK(goes(empty) == NEXT);
    CHECK(goes(to_vip("198.51.100.7", 1, IPPROTO_UDP)) == NEXT);
    CHECK(goes(to_vip("198.51.100.7", 1, IPPROTO_ICMP)) == NEXT);
    CHECK(goes(to_vip("198.51.100.7", 1, IPPROTO_SCTP)) == NEXT);
    Bytes bad = build(to_vip("198.51.100.7", 1));
    bad[14 + 20 + 12] = 0x40; // data offset 4
    run(bad);
    CHECK(left(stage_at, SLOW_L4_UNKNOWN) == 1);
}

TEST_CASE_METHOD(Elb, "a full table takes new connections by forgetting the least used")
{
    configure({service(vip, 80, "tcp", {backend("10.0.2.11", 80)})}, 1024);
    for (unsigned i = 0; i < 5000; ++i)
        REQUIRE(run(build(to_vip("198.51.100.7", 1024 + i))).verdict == XDP_PASS);
    CHECK(left(stage_at, ELB_NEXT_BACKEND) == 5000);
}

TEST_CASE_METHOD(Elb, "the forwarder finishes a partial checksum, of any length")
{
    configure({service(vip, 80, "udp", {backend("10.0.2.11", 8080)})});
    end_with(forward().progs.forward_hairpin);
    const __u32 lo = 1;
    must(must(bpf::Map<__u32, __u32>::bind(maps, "transmit_ports")).put(lo, lo));
    Random random(3);
    for (std::size_t size = 0; size < 1600; size += 1 + roll(random, 9)) {
        for (const auto proto : std::vector<std::uint8_t>{IPPROTO_UDP, IPPROTO_TCP}) {
            Frame f = to_vip("198.51.100.7", 4000, proto);
            f.csum = Csum::partial;
            f.payload.resize(size);
            for (auto &byte : f.payload)
                byte = static_cast<std::uint8_t>(random());
            f.padding = roll(random, 4);
            const Layout at = layout(f);
            const Ran r = run(build(f), lo);
            REQUIRE(r.verdict == XDP_REDIRECT);
            INFO("payload of " << size);
            REQUIRE(segment_sum(r.out, at.l3, at.l4, at.end, proto) == 0xffff);
            REQUIRE(header_sum(r.out, at.l3) == 0xffff);
        }
    }
}
