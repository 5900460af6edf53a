// SPDX-License-Identifier: GPL-2.0-or-later
// The forwarder's three forms, with the kernel's own FIB beside its map, in a network
// namespace of the test's own; and the root's decisions about whose frame it is.
#include <arpa/inet.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <time.h>

#include <cstdlib>
#include <map>
#include <random>

#include "abi/nexthop.h"
#include "base/net.hpp"
#include "support/chain.hpp"

using namespace evnf;
using namespace evnf::test;

namespace
{

const std::string v6_src = "2001:db8:1::9", v6_dst = "2001:db8:3::7";

// in0 (10.0.1.1, 2001:db8:1::1) and out0 (10.0.2.1, 2001:db8:2::1); routes to
// 198.51.100.0/24 and 2001:db8:3::/48 by neighbours on out0, whose MAC is known.
class Forwarder : public ChainFixture
{
public:
    Forwarder()
    {
        REQUIRE(::unshare(CLONE_NEWNET) == 0); // gone with the process
        sh("ip link set lo up");
        sh("ip link add in0 type veth peer name in1; ip link add out0 type veth peer name out1");
        for (const auto *name : {"in0", "in1", "out0", "out1"})
            sh(std::string("ip link set ") + name + " addrgenmode none up");
        sh("ip link set in0 address 02:00:00:00:00:01; ip link set out0 address 02:00:00:00:01:01");
        sh("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
        sh("ip addr add 10.0.1.1/24 dev in0; ip addr add 10.0.2.1/24 dev out0");
        sh("ip addr add 2001:db8:1::1/64 dev in0 nodad; ip addr add 2001:db8:2::1/64 dev out0 "
           "nodad");
        sh("ip neigh add 10.0.2.2 dev out0 lladdr 02:00:00:00:02:02 nud permanent");
        sh("ip neigh add 2001:db8:2::2 dev out0 lladdr 02:00:00:00:02:06 nud permanent");
        sh("ip route add 198.51.100.0/24 via 10.0.2.2; ip route add 203.0.113.0/24 via 10.0.2.3");
        sh("ip route add 2001:db8:3::/48 via 2001:db8:2::2");
        in = ::if_nametoindex("in0");
        out = ::if_nametoindex("out0");
        end_with(forward().progs.forward_route);
        must(must(bpf::Map<__u32, __u32>::bind(maps, "transmit_ports")).put(out, out));
        must(must(bpf::Map<__u32, __u32>::bind(maps, "transmit_ports")).put(in, in));
        table.emplace(must(bpf::Map<ip_addr, nexthop>::bind(maps, "nexthops")));
        changes.emplace(must(bpf::Map<__u32, __u32>::bind(maps, "nexthop_changes")));
    }

    void tell_of_change() { must(changes->put(0, *changes->get(0) + 1)); }

    static void sh(const std::string &command)
    {
        INFO(command);
        REQUIRE(std::system(command.c_str()) == 0);
    }

    // What a daemon would put there.
    void know(const std::string &address, unsigned ifindex, std::uint8_t last_mac,
              std::uint16_t mtu = 1500, std::uint32_t seconds = 1000,
              nexthop_state state = NEXTHOP_RESOLVED)
    {
        timespec now{};
        ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
        nexthop n{};
        n.ifindex = ifindex;
        n.mtu = mtu;
        n.state = static_cast<__u8>(state);
        n.expires = static_cast<__u32>(now.tv_sec) + seconds;
        n.smac[0] = n.dmac[0] = 0x0a;
        n.dmac[5] = last_mac;
        must(table->put(must(Address::parse(address)).raw(), n));
        tell_of_change();
    }

    // Runs a frame that must be given to the kernel untouched, for this reason.
    void to_kernel(const Frame &f, unsigned reason)
    {
        const Bytes frame = build(f);
        const Ran r = run(frame, in);
        INFO("reason " << reason << "\n" << hex(frame));
        CHECK(r.verdict == XDP_PASS);
        CHECK(left(last_at, reason) == 1);
        CHECK(r.out == frame);
    }

    unsigned in = 0, out = 0;
    std::optional<bpf::Map<ip_addr, nexthop>> table;
    std::optional<bpf::Map<__u32, __u32>> changes;
};

// What a router must have made of the frame: new MACs, one hop less, all else the same.
void check_routed(const Frame &f, const Bytes &out, const std::array<std::uint8_t, 6> &dmac,
                  const std::array<std::uint8_t, 6> &smac)
{
    Frame want = f;
    want.dmac = dmac;
    want.smac = smac;
    want.ttl = static_cast<std::uint8_t>(f.ttl - 1);
    INFO(hex(out));
    CHECK(out == build(want));
}

} // namespace

TEST_CASE_METHOD(Forwarder, "route: the map's answer and the kernel's")
{
    constexpr std::array<std::uint8_t, 6> out_mac{2, 0, 0, 0, 1, 1}, hop{2, 0, 0, 0, 2, 2},
        hop6{2, 0, 0, 0, 2, 6};
    for (const std::uint8_t ttl : std::vector<std::uint8_t>{2, 64, 255}) {
        // Nothing known: the kernel's FIB answers, and the daemon is asked once.
        const Frame f{.ttl = ttl};
        Ran r = run(build(f), in);
        CHECK(r.verdict == XDP_REDIRECT);
        CHECK(left(last_at, FWD_REDIRECT) == 1);
        check_routed(f, r.out, hop, out_mac);
        const auto pending = table->get(must(Address::parse(f.dst)).raw());
        REQUIRE(pending);
        CHECK(pending->state == NEXTHOP_PENDING);
        CHECK(run(build(f), in).verdict == XDP_REDIRECT);
        CHECK(left(last_at, FWD_REDIRECT) == 1);

        const Frame six{.src = v6_src, .dst = v6_dst, .ttl = ttl};
        check_routed(six, run(build(six), in).out, hop6, out_mac);
        CHECK(left(last_at, FWD_REDIRECT) == 1);
    }
    // The map's answer is believed while it is fresh, and only then.
    const Frame f{};
    know(f.dst, in, 0x77);
    Ran r = run(build(f), in);
    CHECK(r.verdict == XDP_REDIRECT);
    check_routed(f, r.out, {0x0a, 0, 0, 0, 0, 0x77}, {0x0a, 0, 0, 0, 0, 0});
    CHECK(table->get(must(Address::parse(f.dst)).raw())->used == 1);
    know(f.dst, in, 0x77, 1500, 0);
    r = run(build(f), in);
    CHECK(r.verdict == XDP_REDIRECT);
    check_routed(f, r.out, hop, out_mac);
}

TEST_CASE_METHOD(Forwarder, "route: each of many destinations has its own next hop, and the last")
{
    // Far more than a CPU remembers lines for.
    std::mt19937 random(1);
    std::map<std::string, std::uint8_t> mac;
    for (int step = 0; step < 20000; ++step) {
        const auto n = static_cast<unsigned>(random() % 2000);
        const std::string address =
            n % 2 ? "198.51." + std::to_string(n / 250) + "." + std::to_string(n % 250 + 1)
                  : "2001:db8:3::" + std::to_string(n);
        auto known = mac.find(address);
        if (known != mac.end() && random() % 16 == 0) {
            table->erase(must(Address::parse(address)).raw());
            tell_of_change();
            mac.erase(known);
            continue;
        }
        if (known == mac.end() || random() % 16 == 0) {
            known = mac.insert_or_assign(address, static_cast<std::uint8_t>(random())).first;
            know(address, out, known->second);
        }
        const Frame f{.src = n % 2 ? "10.0.1.2" : v6_src, .dst = address};
        const Ran r = run(build(f), in);
        REQUIRE(r.verdict == XDP_REDIRECT);
        INFO(address);
        REQUIRE(r.out[5] == known->second);
        // What was found stays in use without the map, until there is word of a change.
        if (random() % 64 == 0) {
            table->erase(must(Address::parse(address)).raw());
            REQUIRE(run(build(f), in).out[5] == known->second);
            tell_of_change();
            mac.erase(known);
        }
    }
}

TEST_CASE_METHOD(Forwarder, "route: one miss makes one event")
{
    int events = 0;
    auto *ring = ring_buffer__new(
        must(maps.fd("events")),
        [](void *n, void *data, std::size_t) {
            const auto *e = static_cast<event *>(data);
            CHECK(e->type == EVENT_NEXTHOP_MISS);
            CHECK(e->slot == last_at);
            CHECK(Address(e->addr).text() == "198.51.100.1");
            ++*static_cast<int *>(n);
            return 0;
        },
        &events, nullptr);
    REQUIRE(ring);
    for (int i = 0; i < 5; ++i)
        run(build({}), in);
    ring_buffer__consume(ring);
    ring_buffer__free(ring);
    CHECK(events == 1);
}

TEST_CASE_METHOD(Forwarder, "route: what is the kernel's work goes to it untouched")
{
    const Frame six{.src = v6_src, .dst = v6_dst};
    auto with = [](Frame f, auto change) {
        change(f);
        return f;
    };
    to_kernel({.ip_options = 4}, FWD_SLOW_OPTIONS);
    to_kernel(with(six, [](Frame &f) { f.ext = {{0, 8}}; }), FWD_SLOW_OPTIONS);
    to_kernel({.vlans = {5}}, FWD_SLOW_VLAN);
    for (const auto *special : {"0.1.2.3", "127.0.0.1", "224.0.0.1", "255.255.255.255"}) {
        to_kernel({.dst = special}, FWD_SLOW_ADDRESS);
        to_kernel({.src = special}, FWD_SLOW_ADDRESS);
    }
    for (const auto *special : {"::", "::1", "fe80::1", "ff02::1", "::ffff:198.51.100.1"}) {
        to_kernel(with(six, [&](Frame &f) { f.dst = special; }), FWD_SLOW_ADDRESS);
        to_kernel(with(six, [&](Frame &f) { f.src = special; }), FWD_SLOW_ADDRESS);
    }
    to_kernel({.ttl = 1}, FWD_SLOW_TTL);
    to_kernel({.ttl = 0}, FWD_SLOW_TTL);
    to_kernel(with(six, [](Frame &f) { f.ttl = 1; }), FWD_SLOW_TTL);
    to_kernel({.dst = "10.0.1.1"}, FWD_SLOW_LOCAL);         // this host
    to_kernel({.dst = "100.64.0.1"}, FWD_SLOW_LOCAL);       // no route
    to_kernel({.dst = "203.0.113.1"}, FWD_SLOW_NO_NEXTHOP); // its neighbour is not known
    know("198.51.100.1", out, 1, 67);
    to_kernel({.payload = Bytes(28)}, FWD_SLOW_MTU); // 68 bytes of IP
    CHECK(run(build({.payload = Bytes(27)}), in).verdict == XDP_REDIRECT);
    know("198.51.100.1", out, 1, 1500, 1000, NEXTHOP_SLOW);
    to_kernel({}, FWD_SLOW_LOCAL);
    sh("ip link set out0 mtu 1280");
    to_kernel({.dst = "198.51.100.2", .payload = Bytes(1300)}, FWD_SLOW_MTU);
}

TEST_CASE_METHOD(Forwarder, "route: a way out that cannot transmit XDP frames is the kernel's")
{
    auto ports = must(bpf::Map<__u32, __u32>::bind(maps, "transmit_ports"));
    REQUIRE(ports.erase(out));
    to_kernel({}, FWD_SLOW_LOCAL);
}

TEST_CASE_METHOD(Forwarder, "wire: frames pass as they are, what is not IP too")
{
    end_with(forward().progs.forward_wire);
    CHECK(run(build({}), in).verdict == XDP_DROP);
    CHECK(left(last_at, FWD_DROP_NO_PEER) == 1);
    must(must(bpf::Map<__u32, __u32>::bind(maps, "wire_peers")).put(last_at, out));
    const Frame arp{.ethertype = 0x0806};
    for (const Frame &f :
         std::vector<Frame>{{}, {.vlans = {5, 6}}, {.ttl = 1}, {.ip_options = 8}}) {
        const Bytes frame = build(f);
        const Ran r = run(frame, in);
        CHECK(r.verdict == XDP_REDIRECT);
        CHECK(r.out == frame);
    }
    CHECK(run(build(arp), in).verdict == XDP_PASS);
    load_root([](root_bpf &r) { r.rodata->root_not_ip_slot = last_at; });
    const Ran r = run(build(arp), in);
    CHECK(r.verdict == XDP_REDIRECT);
    CHECK(r.out == build(arp));
}

TEST_CASE_METHOD(Forwarder, "hairpin: back out of the same port, with the MACs changed round")
{
    end_with(forward().progs.forward_hairpin);
    const Frame f{.vlans = {5}, .ttl = 1};
    Frame want = f;
    std::swap(want.dmac, want.smac);
    const Ran r = run(build(f), in);
    CHECK(r.verdict == XDP_REDIRECT);
    CHECK(left(last_at, FWD_REDIRECT) == 1);
    CHECK(r.out == build(want));
}

TEST_CASE_METHOD(Forwarder, "a router takes only what is sent to its own address")
{
    load_root([](root_bpf &r) {
        r.rodata->root_check_mac = true;
        r.rodata->root_mac[0] = 0x02;
        r.rodata->root_mac[5] = 0x01;
    });
    CHECK(run(build({}), in).verdict == XDP_REDIRECT);
    for (unsigned byte = 0; byte < 6; ++byte) {
        Frame f;
        f.dmac[byte] ^= 0x10;
        const Ran r = run(build(f), in);
        CHECK(r.verdict == XDP_PASS);
        CHECK(left(root_at, SLOW_NOT_OUR_MAC) == 1);
        CHECK(r.out == build(f));
    }
}

TEST_CASE_METHOD(Forwarder, "an empty slot is closed")
{
    link(root_at, 99);
    CHECK(run(build({}), in).verdict == XDP_DROP);
    CHECK(left(root_at, DROP_NO_STAGE) == 1);
    CHECK(left(root_at, NEXT) == 1); // it had been sent on
}
