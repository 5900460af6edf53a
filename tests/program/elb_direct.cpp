// SPDX-License-Identifier: GPL-2.0-or-later
// elb's direct server return: a packet to a service leaves with the MAC of the backend that is
// chosen, as a router forwards it to a host of that address, and nothing else of it is changed.
#include <catch2/catch.hpp>

#include <linux/bpf.h>
#include <net/if.h>
#include <sched.h>

#include <cstdlib>

#include "abi/nexthop.h"
#include "support/elb_connected.hpp"
#include "support/fragments.hpp"

using namespace evnf;
using namespace evnf::test;

namespace
{

using Mac = std::array<std::uint8_t, 6>;

constexpr Mac router{2, 0, 0, 0, 0, 1};

void sh(const std::string &command)
{
    INFO(command);
    REQUIRE(std::system(command.c_str()) == 0);
}

json direct(json service)
{
    service["forward"] = "direct";
    return service;
}

// A balancer in a namespace of this process alone: clients behind "client", backends on the
// network of "server" with the MACs 02:00:00:00:04:LAST and 02:00:00:00:06:LAST.
class Balancer : public Connected
{
public:
    Balancer()
    {
        REQUIRE(::unshare(CLONE_NEWNET) == 0);
        sh("sysctl -qw net.ipv6.conf.default.accept_ra=0 net.ipv6.conf.default.addr_gen_mode=1 "
           "net.ipv4.conf.default.rp_filter=0 net.ipv4.conf.all.rp_filter=0");
        for (const std::string name : {"client", "server"}) {
            sh("ip link add " + name + " type veth peer name " + name + "-");
            sh("ip link set " + name + " address 02:00:00:00:00:01 up");
            sh("ip link set " + name + "- up");
        }
        sh("ip addr add 10.0.1.1/24 dev client; ip addr add 2001:db8:1::1/64 dev client nodad");
        sh("ip addr add 10.0.2.1/24 dev server; ip addr add 2001:db8:2::1/64 dev server nodad");
        // The services' addresses lead elsewhere, so that nothing goes by them unseen.
        sh("ip route add 192.0.2.0/24 via 10.0.1.99; ip route add 2001:db8::/64 via "
           "2001:db8:1::99");
        for (const std::string last : {"11", "12"}) {
            sh("ip neigh add 10.0.2." + last + " lladdr 02:00:00:00:04:" + last + " dev server");
            sh("ip neigh add 2001:db8:2::" + last + " lladdr 02:00:00:00:06:" + last +
               " dev server");
        }
        for (const std::string gone : {"10.0.1.99", "2001:db8:1::99"})
            sh("ip neigh add " + gone + " lladdr 02:00:00:00:99:99 dev client");
        sh("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
        auto ports = must(bpf::Map<__u32, __u32>::bind(maps, "transmit_ports"));
        for (const std::string name : {"client", "server"}) {
            const __u32 index = ::if_nametoindex(name.c_str());
            must(ports.put(index, index));
        }
        end_with(forward().progs.forward_route);
    }

    void weigh(unsigned first, unsigned second)
    {
        std::vector<json> services;
        for (const std::string protocol : {"tcp", "udp"})
            for (const auto &[at, net] :
                 {std::pair{vip, "10.0.2."}, std::pair{vip6, "2001:db8:2::"}})
                services.push_back(direct(service(at, 80, protocol,
                                                  {backend(net + std::string("11"), 80, first),
                                                   backend(net + std::string("12"), 80, second)})));
        configure(services);
    }

    Ran runs(const Bytes &in) { return run(in, ::if_nametoindex("client")); }
    // The last byte of the MAC that it leaves for.
    unsigned sent_to(const Frame &f) { return runs(build(f)).out[5]; }
};

// What a router makes of the frame: new MACs, one hop less.
Bytes routed(Frame f, const Mac &to)
{
    f.dmac = to;
    f.smac = router;
    f.ttl = static_cast<std::uint8_t>(f.ttl - 1);
    return build(f);
}

Mac mac_of(bool six, std::uint8_t last)
{
    return {2, 0, 0, 0, static_cast<std::uint8_t>(six ? 6 : 4), last};
}

Frame from_client(bool six, unsigned port, std::uint8_t proto = IPPROTO_TCP,
                  std::uint8_t flags = syn)
{
    Frame f = to_vip(six ? client6 : client, port, proto, flags);
    f.dmac = router;
    return f;
}

} // namespace

TEST_CASE_METHOD(Balancer, "a packet goes to its backend's MAC as a router sends it to a host")
{
    weigh(1, 1);
    Random random(41);
    unsigned first = 0, second = 0;
    for (unsigned i = 0; i < 1500; ++i) {
        const bool six = roll(random, 2), tcp = roll(random, 2);
        Frame f = from_client(six, 1 + roll(random, 65535), tcp ? IPPROTO_TCP : IPPROTO_UDP,
                              tcp ? (roll(random, 2) ? syn : ack) : 0);
        f.ttl = static_cast<std::uint8_t>(2 + roll(random, 254));
        f.tos = static_cast<std::uint8_t>(random());
        f.frag = six || roll(random, 2) ? 0 : 0x4000;
        f.payload.resize(roll(random, 1400));
        for (auto &byte : f.payload)
            byte = static_cast<std::uint8_t>(random());
        const Bytes in = build(f);
        const Ran r = runs(in);
        INFO("in\n" << hex(in) << "\nout\n" << hex(r.out));
        REQUIRE(r.verdict == XDP_REDIRECT);
        REQUIRE(left(stage_at, ELB_NEXT_BACKEND) == 1);
        REQUIRE(left(last_at, FWD_REDIRECT) == 1);
        const std::uint8_t last = r.out[5];
        REQUIRE((last == 0x11 || last == 0x12));
        (last == 0x11 ? first : second) += 1;
        REQUIRE(r.out == routed(f, mac_of(six, last)));
        CHECK(address_of(r.seen.flow.daddr) == (six ? vip6 : vip)); // as the next stage sees it
        CHECK(sent_to(f) == last);                                  // and all that follow
        left(stage_at, ELB_NEXT_BACKEND);
        left(last_at, FWD_REDIRECT);
    }
    CHECK(first > 600);
    CHECK(second > 600);
    CHECK(established() == 0);
}

TEST_CASE_METHOD(Balancer, "what another stage has not chosen is routed by its destination")
{
    weigh(1, 0);
    CHECK(sent_to(from_client(false, 4000)) == 0x11);
    Frame other = from_client(false, 4000);
    other.dport = 81;
    CHECK(sent_to(other) == 0x99);
    CHECK(left(stage_at, NEXT) == 1);
}

TEST_CASE_METHOD(Balancer, "who goes on keeps the backend, until it ends")
{
    weigh(1, 0);
    for (unsigned port = 1; port <= 50; ++port)
        for (const bool six : {false, true}) {
            CHECK(sent_to(from_client(six, port)) == 0x11);
            CHECK(sent_to(from_client(six, port, IPPROTO_TCP, ack)) == 0x11);
            CHECK(sent_to(from_client(six, port, IPPROTO_UDP, 0)) == 0x11);
        }
    CHECK(shown()["connections"] == 50);
    weigh(0, 1);
    for (unsigned port = 1; port <= 50; ++port)
        for (const bool six : {false, true}) {
            CHECK(sent_to(from_client(six, port)) == 0x11); // a SYN for a living one
            CHECK(sent_to(from_client(six, port, IPPROTO_TCP, ack | psh)) == 0x11);
            CHECK(sent_to(from_client(six, port, IPPROTO_UDP, 0)) == 0x11);
            CHECK(sent_to(from_client(six, port + 100)) == 0x12);
        }
    CHECK(sent_to(from_client(false, 1, IPPROTO_TCP, fin | ack)) == 0x11);
    CHECK(sent_to(from_client(false, 1, IPPROTO_TCP, ack)) == 0x11); // of its last words
    CHECK(sent_to(from_client(false, 1)) == 0x12);
    CHECK(shown()["to_client"]["packets"] == 0);
}

TEST_CASE_METHOD(Balancer, "the daemon's answer about the backend goes before the kernel's")
{
    weigh(1, 0);
    auto table = must(bpf::Map<ip_addr, nexthop>::bind(maps, "nexthops"));
    auto changes = must(bpf::Map<__u32, __u32>::bind(maps, "nexthop_changes"));
    const auto know = [&](nexthop_state state, std::uint16_t mtu) {
        nexthop n{};
        n.ifindex = ::if_nametoindex("server");
        n.mtu = mtu;
        n.state = static_cast<__u8>(state);
        n.expires = 0xffffffff;
        n.dmac[5] = 0x77;
        must(table.put(must(Address::parse("10.0.2.11")).raw(), n));
        must(changes.put(0, *changes.get(0) + 1));
    };
    const Frame f = from_client(false, 4000);
    know(NEXTHOP_RESOLVED, 1500);
    CHECK(sent_to(f) == 0x77);
    // A router would bring it back here; the kernel would take it for the service's own host's.
    for (const auto &[state, mtu] :
         {std::pair{NEXTHOP_BY_ROUTER, 1500}, {NEXTHOP_SLOW, 1500}, {NEXTHOP_RESOLVED, 30}}) {
        know(state, static_cast<std::uint16_t>(mtu));
        left(last_at, FWD_DROP_VIA);
        CHECK(runs(build(f)).verdict == XDP_DROP);
        CHECK(left(last_at, FWD_DROP_VIA) == 1);
    }
    know(NEXTHOP_PENDING, 0);
    CHECK(sent_to(f) == 0x11);
}

TEST_CASE_METHOD(Balancer,
                 "a backend that is no neighbour any more gets nothing, and no router does")
{
    weigh(1, 0);
    CHECK(sent_to(from_client(false, 4000)) == 0x11);
    CHECK(sent_to(from_client(true, 4000)) == 0x11);
    sh("ip neigh del 10.0.2.11 dev server; ip neigh del 2001:db8:2::11 dev server");
    for (const bool six : {false, true}) {
        CHECK(runs(build(from_client(six, 4000))).verdict == XDP_DROP);
        CHECK(left(last_at, FWD_DROP_VIA) == 1);
    }
    sh("ip route add 10.0.2.11/32 via 10.0.2.12; ip route add 2001:db8:2::11/128 via "
       "2001:db8:2::12");
    for (const bool six : {false, true}) {
        CHECK(runs(build(from_client(six, 4000))).verdict == XDP_DROP);
        CHECK(left(last_at, FWD_DROP_VIA) == 1);
    }
}

TEST_CASE_METHOD(Balancer, "fragments follow the first of their datagram")
{
    weigh(1, 1);
    Random random(43);
    for (unsigned i = 0; i < 200; ++i) {
        const bool six = roll(random, 2), tcp = roll(random, 2);
        Frame f = from_client(six, 1000 + i, tcp ? IPPROTO_TCP : IPPROTO_UDP, ack);
        f.ttl = static_cast<std::uint8_t>(2 + roll(random, 254));
        f.payload.resize(1000 + roll(random, 3000));
        Frame hop = f;
        hop.smac = router;
        hop.ttl = static_cast<std::uint8_t>(f.ttl - 1);
        std::vector<std::size_t> cuts;
        for (std::size_t cut = 800; cut < f.payload.size(); cut += 8 * (10 + roll(random, 90)))
            cuts.push_back(cut);
        const auto in = fragments(f, build(f), i, cuts);
        unsigned last = 0;
        for (std::size_t k = 0; k < in.size(); ++k) {
            const Ran r = runs(in[k]);
            REQUIRE(left(stage_at, ELB_NEXT_BACKEND) == 1);
            last = k ? last : r.out[5];
            hop.dmac = mac_of(six, static_cast<std::uint8_t>(last));
            INFO("fragment " << k << "\nin\n" << hex(in[k]) << "\nout\n" << hex(r.out));
            REQUIRE(r.out == fragments(hop, build(hop), i, cuts)[k]);
        }
    }
}

TEST_CASE_METHOD(Balancer, "an ICMP error about an answer goes to the backend that sent it")
{
    for (const bool six : {false, true}) {
        weigh(1, 0);
        const Frame f = from_client(six, 4000);
        CHECK(sent_to(f) == 0x11);
        weigh(0, 1);
        CHECK(sent_to(from_client(six, 4000, IPPROTO_TCP, ack)) == 0x11);
        left(stage_at, ELB_NEXT_BACKEND);
        const Bytes answer = build(answer_to(f, six ? vip6 : vip, 80));
        Frame error{.dmac = router,
                    .src = six ? "2001:db8:77::1" : "203.0.113.77",
                    .dst = six ? vip6 : vip,
                    .proto = static_cast<std::uint8_t>(six ? 58 : 1),
                    .icmp_type = static_cast<std::uint8_t>(six ? 2 : 3),
                    .icmp_code = static_cast<std::uint8_t>(six ? 0 : 4),
                    .payload = Bytes(answer.begin() + 14, answer.begin() + (six ? 62 : 42))};
        CHECK(runs(build(error)).out == routed(error, mac_of(six, 0x11)));
        CHECK(left(stage_at, ELB_NEXT_BACKEND) == 1);
        // Not what is about nobody's.
        const Bytes nobodys = build(answer_to(from_client(six, 4001), six ? vip6 : vip, 80));
        error.payload = Bytes(nobodys.begin() + 14, nobodys.begin() + (six ? 62 : 42));
        CHECK(runs(build(error)).out[5] == 0x99);
    }
}

TEST_CASE_METHOD(Balancer, "what is too big for the backend's network is told to the client")
{
    weigh(1, 0);
    sh("ip link set server mtu 1400");
    for (const bool six : {false, true}) {
        Frame f = from_client(six, 4000, IPPROTO_TCP, ack);
        f.payload.assign(1400 - (six ? 60 : 40), 0x5a);
        CHECK(sent_to(f) == 0x11);
        f.payload.push_back(0);
        end_with_recorder();
        const Ran r = runs(build(f));
        end_with(forward().progs.forward_route);
        CHECK(left(stage_at, ELB_NEXT_CLIENT) == 1);
        CHECK(r.seen.icmp_type == (six ? 2 : 3));
        CHECK(address_of(r.seen.flow.daddr) == (six ? client6 : client));
        CHECK_FALSE(r.seen.flags & PKT_F_VIA);
        const std::size_t mtu = six ? 14 + 40 + 6 : 14 + 20 + 6;
        CHECK((r.out[mtu] << 8 | r.out[mtu + 1]) == 1400);
    }
}

TEST_CASE_METHOD(Balancer, "a hop limit that ends here is the kernel's to tell")
{
    weigh(1, 1);
    for (const bool six : {false, true}) {
        Frame f = from_client(six, 4000);
        f.ttl = 1;
        const Ran r = runs(build(f));
        CHECK(left(stage_at, ELB_SLOW_TTL) == 1);
        CHECK(r.out == build(f));
    }
}
