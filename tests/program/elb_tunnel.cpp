// SPDX-License-Identifier: GPL-2.0-or-later
// elb's tunnels: what goes to a backend is what a plain model of RFC 2003 and 2473 makes of the
// same packet, and, where the kernel has them, its own ipip and ip6tnl; what is too big is told to
// the client, and a client keeps its backend.
#include <catch2/catch.hpp>

#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>

#include "base/fd.hpp"
#include "support/elb_connected.hpp"
#include "support/fragments.hpp"

using namespace evnf;
using namespace evnf::test;

namespace
{

const std::string server = "10.0.2.11", server6 = "2001:db8:2::11";
const std::string source = "10.0.2.1", source6 = "2001:db8:2::1";

void sh(const std::string &command)
{
    INFO(command);
    REQUIRE(std::system(command.c_str()) == 0);
}

json tunnel(json service, const std::string &from)
{
    service["forward"] = "tunnel";
    service["sources"] = {from};
    return service;
}

// A router in a namespace of this process alone, that sends what is for the services into
// tunnels of its own. Frames come in by "client" and go out by "server".
class Router : public Connected
{
public:
    Router()
    {
        REQUIRE(::unshare(CLONE_NEWNET) == 0);
        sh("sysctl -qw net.ipv6.conf.default.accept_ra=0 net.ipv6.conf.default.addr_gen_mode=1 "
           "net.ipv6.conf.default.dad_transmits=0 net.ipv6.conf.default.router_solicitations=0 "
           "net.ipv4.conf.default.rp_filter=0 net.ipv4.conf.all.rp_filter=0 "
           "net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.default.send_redirects=0");
        for (const std::string name : {"client", "server"}) {
            sh("ip link add " + name + " type veth peer name " + name + "-");
            sh("ip link set " + name + " address 02:00:00:00:00:01 up");
            sh("ip link set " + name + "- address 02:00:00:00:00:02 up");
        }
        sh("ip addr add 10.0.1.1/24 dev client; ip addr add 2001:db8:1::1/64 dev client nodad");
        sh("ip addr add 10.0.2.1/24 dev server; ip addr add 2001:db8:2::1/64 dev server nodad");
        // Nobody has that address: what "server-" took for its own, the router would send again.
        sh("ip neigh add 10.0.2.11 lladdr 02:00:00:00:00:09 dev server");
        sh("ip neigh add 2001:db8:2::11 lladdr 02:00:00:00:00:09 dev server");
        kernel4 = make("t4", "ipip local 10.0.2.1 remote 10.0.2.11 ttl 64 tos inherit", vip);
        kernel6 = make("t6",
                       "ip6tnl mode ip6ip6 local 2001:db8:2::1 remote 2001:db8:2::11 "
                       "hoplimit 64 tclass inherit encaplimit none",
                       vip6);
        sh("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
        to_.sll_ifindex = static_cast<int>(::if_nametoindex("client-"));
        to_.sll_family = AF_PACKET;
        in_ = Fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
        out_ = Fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL)));
        sockaddr_ll at{};
        at.sll_family = AF_PACKET;
        at.sll_protocol = htons(ETH_P_ALL);
        at.sll_ifindex = static_cast<int>(::if_nametoindex("server-"));
        REQUIRE(::bind(out_.get(), reinterpret_cast<const sockaddr *>(&at), sizeof at) == 0);
        configure({tunnel(service(vip, 80, "tcp", {backend(server, 80)}), source),
                   tunnel(service(vip, 80, "udp", {backend(server, 80)}), source),
                   tunnel(service(vip6, 80, "tcp", {backend(server6, 80)}), source6),
                   tunnel(service(vip6, 80, "udp", {backend(server6, 80)}), source6)});
    }

    // The datagram that the kernel's tunnel sends, from its IP header on.
    Bytes kernels(Bytes frame)
    {
        const std::array<std::uint8_t, 6> mac{2, 0, 0, 0, 0, 1};
        std::copy(mac.begin(), mac.end(), frame.begin());
        REQUIRE(::sendto(in_.get(), frame.data(), frame.size(), 0,
                         reinterpret_cast<const sockaddr *>(&to_),
                         sizeof to_) == static_cast<ssize_t>(frame.size()));
        Bytes got(4096);
        for (;;) {
            pollfd wait{out_.get(), POLLIN, 0};
            if (::poll(&wait, 1, 1000) != 1)
                return {};
            const auto n = ::recv(out_.get(), got.data(), got.size(), 0);
            REQUIRE(n > 14);
            const unsigned proto = got[14] >> 4 == 4 ? got[23] : got[20];
            if (proto != 4 && proto != 41)
                continue; // the router's own, such as multicast reports
            return Bytes(got.begin() + 14, got.begin() + n);
        }
    }
    // The program runs as for a frame that came in by "client".
    Ran runs(const Bytes &in) { return run(in, ::if_nametoindex("client")); }
    bool kernel4 = false, kernel6 = false; // whether it has such tunnels

private:
    static bool make(const std::string &name, const std::string &kind, const std::string &to)
    {
        if (std::system(("ip link add " + name + " type " + kind + " 2>/dev/null").c_str()) != 0) {
            WARN("this kernel has no tunnel to compare with, only the plain model: " << kind);
            return false;
        }
        sh("ip link set " + name + " up; ip route add " + to + " dev " + name);
        return true;
    }

    Fd in_, out_;
    sockaddr_ll to_{};
};

Bytes datagram(const Bytes &frame, std::size_t l3, std::size_t end)
{
    return Bytes(frame.begin() + static_cast<long>(l3), frame.begin() + static_cast<long>(end));
}

// The datagram of a frame after one hop, in another that RFC 2003 or 2473 describes, by the
// plainest means.
Bytes wrapped(const Frame &f)
{
    const bool six = f.src.find(':') != std::string::npos;
    Frame hop = f;
    hop.ttl = static_cast<std::uint8_t>(f.ttl - 1);
    const Layout at = layout(hop);
    const Bytes inner = datagram(build(hop), at.l3, at.end);
    const Frame around{.src = six ? source6 : source,
                       .dst = six ? server6 : server,
                       .ttl = 64,
                       .tos = f.tos,
                       .frag = static_cast<std::uint16_t>(f.frag & 0x4000),
                       .proto = static_cast<std::uint8_t>(six ? 41 : 4),
                       .payload = inner};
    const Bytes whole = build(around);
    return datagram(whole, layout(around).l3, layout(around).end);
}

// Without what a tunnel's end is free to choose: IPv6's flow label (RFC 6438); IPv4's
// identification, and the header's checksum with it.
Bytes without_choice(Bytes packet)
{
    if (packet[0] >> 4 == 6) {
        packet[1] &= 0xf0;
        packet[2] = packet[3] = 0;
    } else {
        packet[4] = packet[5] = packet[10] = packet[11] = 0;
    }
    return packet;
}

} // namespace

TEST_CASE_METHOD(Router,
                 "a packet in the tunnel is what the model makes of it, and the kernel's tunnel")
{
    Random random(23);
    for (int i = 0; i < 1500; ++i) {
        const bool six = roll(random, 2), tcp = roll(random, 2);
        Frame f = to_vip(six ? client6 : client, 1 + roll(random, 65535),
                         tcp ? IPPROTO_TCP : IPPROTO_UDP, tcp ? ack : 0);
        f.ttl = static_cast<std::uint8_t>(2 + roll(random, 254));
        f.tos = static_cast<std::uint8_t>(random());
        if ((f.tos & 3) == 3)
            f.tos ^= 1; // Linux hides this from the tunnel, as RFC 3168 has it: see below
        f.frag = six || roll(random, 2) ? 0 : 0x4000;
        f.ip_options = six || roll(random, 4) ? 0 : 4 * roll(random, 11);
        f.payload.resize(roll(random, 1200));
        for (auto &byte : f.payload)
            byte = static_cast<std::uint8_t>(random());
        const Bytes in = build(f);
        const bool comparable = (six ? kernel6 : kernel4 && f.frag & 0x4000); // else DF is its own
        const Bytes theirs = comparable ? kernels(in) : wrapped(f);
        REQUIRE(!theirs.empty());
        // Ours with tags, with padding and with an unfinished checksum must come to the same.
        Frame shaped = f;
        if (roll(random, 2))
            shaped.csum = Csum::partial;
        for (unsigned n = roll(random, 3); n; --n)
            shaped.vlans.push_back(static_cast<std::uint16_t>(1 + roll(random, 4000)));
        const Bytes own_in = build(shaped);
        const Layout own_at = layout(shaped);
        const Ran r = runs(own_in);
        REQUIRE(left(stage_at, ELB_NEXT_BACKEND) == 1);
        const std::size_t room = six ? 40 : 20;
        REQUIRE(r.out.size() == own_in.size() + room);
        CHECK(datagram(r.out, 0, own_at.l3) == datagram(own_in, 0, own_at.l3));
        const Bytes ours = datagram(r.out, own_at.l3, own_at.end + room);
        INFO("in\n" << hex(own_in) << "\nours\n" << hex(ours) << "\nkernel's\n" << hex(theirs));
        REQUIRE(without_choice(ours) == without_choice(wrapped(f)));
        REQUIRE(without_choice(ours) == without_choice(theirs));
        if (!six) {
            CHECK(header_sum(r.out, own_at.l3) == 0xffff);
            if (f.frag & 0x4000) // an atomic datagram needs none (RFC 6864)
                CHECK((ours[4] == 0 && ours[5] == 0));
        }
        // What the next stage is told.
        const pkt &p = r.seen;
        CHECK(address_of(p.flow.saddr) == (six ? source6 : source));
        CHECK(address_of(p.flow.daddr) == (six ? server6 : server));
        CHECK(p.flow.proto == (six ? 41 : 4));
        CHECK(p.l4 == PKT_L4_OTHER);
        CHECK((p.l3_off == own_at.l3 && p.l4_off == own_at.l3 + room));
        CHECK((p.l3_end == own_at.end + room && p.len == r.out.size()));
        CHECK((p.flow.sport == 0 && p.flow.dport == 0 && p.tcp_flags == 0 && p.ttl == 64));
    }
}

TEST_CASE_METHOD(Router, "congestion that the packet tells of already is told by the tunnel's too")
{
    for (const bool six : {false, true}) {
        Frame f = to_vip(six ? client6 : client, 4000);
        f.tos = 0xb3; // RFC 6040, section 4.1: copied, as the other three are
        const Ran r = runs(build(f));
        const unsigned tos = six ? (r.out[14] << 4 | r.out[15] >> 4) & 0xffU : r.out[15];
        CHECK(tos == 0xb3);
        CHECK(r.seen.tos == 0xb3);
    }
}

// What the kernel or hardware does at last to a frame of a partial checksum: it knows where the
// segment was, from there to the frame's end.
void finish(Bytes &frame, std::size_t segment, std::size_t field)
{
    const auto sum = plain_checksum(plain_sum(frame.data() + segment, frame.size() - segment));
    frame[segment + field] = static_cast<std::uint8_t>(sum >> 8);
    frame[segment + field + 1] = static_cast<std::uint8_t>(sum);
}

TEST_CASE_METHOD(Router, "what is too big for the tunnel is told to the client")
{
    for (const bool six : {false, true})
        for (const std::size_t over : {0U, 1U, 20U}) {
            const std::size_t room = six ? 40 : 20, headers = six ? 60 : 40;
            Frame f = to_vip(six ? client6 : client, 4000, IPPROTO_TCP, ack);
            f.payload = Bytes(1500 - room - headers + over, 0x5a);
            const Bytes in = build(f);
            const Ran r = runs(in);
            INFO(hex(r.out));
            if (!over) {
                CHECK(left(stage_at, ELB_NEXT_BACKEND) == 1);
                CHECK(r.out.size() == 14 + 1500);
                continue;
            }
            REQUIRE(left(stage_at, ELB_NEXT_CLIENT) == 1);
            // RFC 1812, section 4.3.2.3 and RFC 4443, section 3.2: as much as fits.
            const std::size_t quote = six ? 1280 - 48 : 576 - 28;
            Frame want{.src = f.dst,
                       .dst = f.src,
                       .ttl = 64,
                       .tos = static_cast<std::uint8_t>(six ? 0 : 0xc0),
                       .frag = static_cast<std::uint16_t>(six ? 0 : 0x4000),
                       .proto = static_cast<std::uint8_t>(six ? 58 : 1),
                       .icmp_type = static_cast<std::uint8_t>(six ? 2 : 3),
                       .icmp_code = static_cast<std::uint8_t>(six ? 0 : 4),
                       .payload = datagram(in, 14, 14 + quote)};
            Bytes wanted = build(want);
            const std::size_t l4 = layout(want).l4;
            REQUIRE(r.out.size() == wanted.size());
            const unsigned mtu = r.out[l4 + 6] << 8 | r.out[l4 + 7];
            CHECK(mtu == 1500 - room);
            CHECK((r.out[l4 + 4] == 0 && r.out[l4 + 5] == 0));
            // The builder's has no MTU: the rest must be the same, but for the checksum.
            Bytes rest = r.out;
            for (auto *frame : {&rest, &wanted})
                for (const std::size_t i : {2U, 3U, 6U, 7U})
                    (*frame)[l4 + i] = 0;
            if (!six)
                rest[18] = rest[19] = wanted[18] = wanted[19] = rest[24] = rest[25] = wanted[24] =
                    wanted[25] = 0;
            CHECK(rest == wanted);
            if (!six) {
                CHECK(header_sum(r.out, 14) == 0xffff);
                CHECK(plain_checksum(plain_sum(r.out.data() + l4, r.out.size() - l4)) == 0);
            } else {
                CHECK(segment_sum(r.out, 14, l4, r.out.size(), 58) == 0xffff);
            }
            CHECK(address_of(r.seen.flow.daddr) == f.src);
            CHECK((r.seen.l4 == PKT_L4_ICMP && r.seen.len == r.out.size()));
        }
}

TEST_CASE_METHOD(
    Router, "the answer to what is too big is right when the kernel has finished what it quotes")
{
    Random random(5);
    const auto both = {false, true};
    for (const bool generic : both) {
        load_root([&](root_bpf &r) { r.rodata->root_generic = generic; });
        for (const bool six : both)
            for (const bool udp : both)
                for (const Csum csum : {Csum::right, Csum::partial})
                    for (int i = 0; i < 20; ++i) {
                        Frame f = to_vip(six ? client6 : client, 1 + roll(random, 65535),
                                         udp ? IPPROTO_UDP : IPPROTO_TCP, ack);
                        f.csum = csum;
                        f.payload.resize(1460 + roll(random, 40));
                        for (auto &byte : f.payload)
                            byte = static_cast<std::uint8_t>(random());
                        const Bytes in = build(f);
                        Ran r = runs(in);
                        REQUIRE(left(stage_at, ELB_NEXT_CLIENT) == 1);
                        const std::size_t l4 = layout(f).l4, quoted = l4 + (l4 - 14) + 8;
                        if (generic && csum == Csum::partial)
                            finish(r.out, quoted, udp ? 6 : 16);
                        INFO(hex(in) << "\n" << hex(r.out));
                        if (six)
                            CHECK(segment_sum(r.out, 14, l4, r.out.size(), 58) == 0xffff);
                        else
                            CHECK(plain_checksum(plain_sum(&r.out[l4], r.out.size() - l4)) == 0);
                    }
    }
}

TEST_CASE_METHOD(Router, "a hop limit that ends here is the kernel's to tell")
{
    for (const bool six : {false, true}) {
        Frame f = to_vip(six ? client6 : client, 4000);
        f.ttl = 1;
        const Ran r = runs(build(f));
        CHECK(left(stage_at, ELB_SLOW_TTL) == 1);
        CHECK(r.out == build(f));
    }
}

TEST_CASE_METHOD(Connected, "who goes on keeps the backend of its tunnel, until it ends")
{
    const auto with = [&](unsigned first, unsigned second) {
        std::vector<json> services;
        for (const char *protocol : {"tcp", "udp"})
            services.push_back(
                tunnel(service(vip, 80, protocol,
                               {backend("10.0.2.11", 80, first), backend("10.0.2.12", 80, second)}),
                       source));
        configure(services);
    };
    with(1, 0);
    for (unsigned port = 1; port <= 100; ++port) {
        CHECK(goes_to(to_vip(client, port)) == "10.0.2.11");
        CHECK(goes_to(to_vip(client, port, IPPROTO_TCP, ack)) == "10.0.2.11");
        CHECK(goes_to(to_vip(client, port, IPPROTO_UDP, 0)) == "10.0.2.11");
    }
    CHECK(shown()["connections"] == 100);
    with(0, 1);
    for (unsigned port = 1; port <= 100; ++port) {
        CHECK(goes_to(to_vip(client, port)) == "10.0.2.11"); // a SYN for a living one
        CHECK(goes_to(to_vip(client, port, IPPROTO_TCP, ack | psh)) == "10.0.2.11");
        CHECK(goes_to(to_vip(client, port, IPPROTO_UDP, 0)) == "10.0.2.11");
        CHECK(goes_to(to_vip(client, port + 200)) == "10.0.2.12");
    }
    CHECK(goes_to(to_vip(client, 1, IPPROTO_TCP, fin | ack)) == "10.0.2.11");
    CHECK(goes_to(to_vip(client, 1, IPPROTO_TCP, ack)) == "10.0.2.11"); // of its last words
    CHECK(goes_to(to_vip(client, 1)) == "10.0.2.12");
    CHECK(established() == 0);
}

TEST_CASE_METHOD(Connected, "an ICMP error about an answer goes into the tunnel as it is")
{
    configure({tunnel(service(vip, 80, "tcp", {backend(server, 80)}), source)});
    const Frame f = to_vip(client, 4000);
    run(build(f));
    left(stage_at, ELB_NEXT_BACKEND);
    const Bytes answer = build(answer_to(f, vip, 80));
    const Frame error{.src = "203.0.113.77",
                      .dst = vip,
                      .proto = 1,
                      .icmp_type = 3,
                      .icmp_code = 4,
                      .payload = datagram(answer, 14, 14 + 28)};
    const Bytes in = build(error);
    const Ran r = run(in);
    CHECK(left(stage_at, ELB_NEXT_BACKEND) == 1);
    CHECK(address_of(r.seen.flow.daddr) == server);
    Frame inner = error;
    inner.ttl = static_cast<std::uint8_t>(error.ttl - 1);
    CHECK(datagram(r.out, 34, r.out.size()) == datagram(build(inner), 14, in.size()));
    // Not what is about nobody's.
    Frame other = error;
    other.payload = datagram(build(answer_to(to_vip(client, 4001), vip, 80)), 14, 14 + 28);
    CHECK(run(build(other)).out == build(other));
}

TEST_CASE_METHOD(Router, "fragments go into the tunnel as they are, each by itself")
{
    Random random(37);
    for (unsigned i = 0; i < 200; ++i) {
        const bool six = roll(random, 2), tcp = roll(random, 2);
        Frame f = to_vip(six ? client6 : client, 1000 + i, tcp ? IPPROTO_TCP : IPPROTO_UDP, ack);
        f.tos = static_cast<std::uint8_t>(random());
        f.ttl = static_cast<std::uint8_t>(2 + roll(random, 254));
        f.payload.resize(1000 + roll(random, 3000));
        for (auto &byte : f.payload)
            byte = static_cast<std::uint8_t>(random());
        Frame hop = f;
        hop.ttl = static_cast<std::uint8_t>(f.ttl - 1);
        const Layout at = layout(f);
        std::vector<std::size_t> cuts;
        for (std::size_t cut = 0; (cut += 8 * (3 + roll(random, 170))) < at.end - at.l4;)
            cuts.push_back(cut);
        while (at.end - at.l4 - (cuts.empty() ? 0 : cuts.back()) > 1360)
            cuts.push_back((cuts.empty() ? 0 : cuts.back()) + 1360);
        if (cuts.empty())
            cuts.push_back(800);
        const auto in = fragments(f, build(f), i, cuts),
                   inner = fragments(hop, build(hop), i, cuts);
        for (std::size_t k = 0; k < in.size(); ++k) {
            const Ran r = runs(in[k]);
            REQUIRE(left(stage_at, ELB_NEXT_BACKEND) == 1);
            const Frame around{.src = six ? source6 : source,
                               .dst = six ? server6 : server,
                               .ttl = 64,
                               .tos = f.tos,
                               .proto = static_cast<std::uint8_t>(six ? 41 : 4),
                               .payload = datagram(inner[k], at.l3, inner[k].size())};
            const Bytes whole = build(around);
            const Bytes ours = datagram(r.out, at.l3, r.out.size());
            INFO("fragment " << k << "\nin\n" << hex(in[k]) << "\nours\n" << hex(ours));
            REQUIRE(without_choice(ours) ==
                    without_choice(datagram(whole, layout(around).l3, layout(around).end)));
            CHECK(r.seen.frag == PKT_FRAG_NONE);
            CHECK(r.seen.l4 == PKT_L4_OTHER);
        }
    }
}

TEST_CASE_METHOD(Router, "of a datagram whose fragment is too big for the tunnel one is answered")
{
    for (const bool six : {false, true}) {
        Frame f = to_vip(six ? client6 : client, 4000, IPPROTO_UDP);
        f.payload.resize(3000, 0x5a);
        const auto first_big = fragments(f, build(f), 1, {1464});
        const Ran r = runs(first_big[0]);
        CHECK(left(stage_at, ELB_NEXT_CLIENT) == 1);
        CHECK(address_of(r.seen.flow.daddr) == f.src);
        CHECK((r.seen.l4 == PKT_L4_ICMP && r.seen.frag == PKT_FRAG_NONE));
        CHECK(r.seen.icmp_type == (six ? 2 : 3));
        const auto small = fragments(f, build(f), 1, {1464, 2000});
        for (const std::size_t k : {1U, 2U}) {
            CHECK(runs(small[k]).out == small[k]);
            CHECK(left(stage_at, ELB_DROP_TOO_BIG) == 1);
        }
        const auto later_big = fragments(f, build(f), 2, {800, 2264});
        for (const std::size_t k : {0U, 2U}) {
            runs(later_big[k]);
            CHECK(left(stage_at, ELB_NEXT_BACKEND) == 1);
        }
        CHECK(runs(later_big[1]).out == later_big[1]);
        CHECK(left(stage_at, ELB_DROP_TOO_BIG) == 1);
    }
}

TEST_CASE_METHOD(Connected, "an association goes through its tunnel, as does any port of many")
{
    const auto with = [&](const std::string &at) {
        json s = tunnel(service(vip, 0, "sctp", {{{"address", at}}}), source);
        s["port"] = "3868-3900";
        configure({s});
    };
    with("10.0.2.11");
    Frame f = to_vip(client, 4000, IPPROTO_SCTP);
    f.dport = 3870;
    const auto chunk = [&](std::uint8_t type) {
        f.payload.assign(20, 0);
        f.payload[0] = type;
        f.payload[3] = 20;
        return f;
    };
    CHECK(goes_to(chunk(1)) == "10.0.2.11"); // INIT
    with("10.0.2.12");
    CHECK(goes_to(chunk(1)) == "10.0.2.12");  // nobody has answered yet
    CHECK(goes_to(chunk(10)) == "10.0.2.12"); // COOKIE ECHO
    with("10.0.2.11");
    CHECK(goes_to(chunk(1)) == "10.0.2.12");
    CHECK(goes_to(chunk(0)) == "10.0.2.12"); // DATA
    CHECK(goes_to(chunk(6)) == "10.0.2.12"); // ABORT
    CHECK(goes_to(chunk(1)) == "10.0.2.11");
    CHECK(established() == 0);
}
