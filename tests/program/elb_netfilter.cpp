// SPDX-License-Identifier: GPL-2.0-or-later
// elb against the kernel's own NAT: the same frames through veths, nft's dnat and snat and the
// kernel's forwarding, and through elb's program; what comes out must be the same.
//
// What is not compared, because it is not what elb does: the Ethernet header and the padding
// after the datagram (a router makes its own), and the TTL or hop limit, which forwarding
// lessens: elb's output has it one less here too, and IPv4's header checksum with it, once
// that has been found right.
//
// Not sent, because netfilter has a way of its own there:
// - the quoted start of a TCP header that ends after its checksum (18 or 19 bytes): netfilter
//   corrects the checksum only in a whole header (nf_nat_proto.c, tcp_manip_pkt()), elb
//   wherever it is;
// - wrong and partial checksums: conntrack takes them for no part of a connection.
#include <catch2/catch.hpp>

#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "base/fd.hpp"
#include "support/elb_connected.hpp"
#include "support/fragments.hpp"

using namespace evnf;
using namespace evnf::test;

namespace
{

constexpr unsigned flows = 1000;
constexpr unsigned tcp_port = 8080, udp_port = 5353;
const std::string server = "10.0.2.11", server6 = "2001:db8:2::11";
const std::string source = "10.0.2.1", source6 = "2001:db8:2::1"; // of source NAT

void sh(const std::string &command)
{
    INFO(command);
    REQUIRE(std::system(command.c_str()) == 0);
}

// A router in a namespace of this process alone: what is sent into the client's end of one
// veth comes out of the server's end of the other, and the other way round.
class KernelNat
{
public:
    explicit KernelNat(bool source_nat)
    {
        REQUIRE(::unshare(CLONE_NEWNET) == 0);
        sh("sysctl -qw net.ipv6.conf.default.accept_ra=0 net.ipv6.conf.default.addr_gen_mode=1 "
           "net.ipv6.conf.default.dad_transmits=0 net.ipv6.conf.default.router_solicitations=0 "
           "net.ipv4.conf.default.rp_filter=0 net.ipv4.conf.all.rp_filter=0 "
           "net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.default.send_redirects=0");
        sh("nft 'table inet mute { chain out { type filter hook output priority 0; "
           "policy drop; }; }'"); // the router itself says nothing
        side(client_, "client", "10.0.1.1/24", "2001:db8:1::1/64");
        side(server_, "server", "10.0.2.1/24", "2001:db8:2::1/64");
        sh("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
        const std::string known = " lladdr 02:00:00:00:00:02 dev ";
        for (const auto *family : {"-4", "-6"}) {
            const bool six = family[1] == '6';
            sh(std::string("ip ") + family + " neigh add " + (six ? "2001:db8:1::2" : "10.0.1.2") +
               known + "client");
            sh(std::string("ip ") + family + " neigh add " + (six ? server6 : server) + known +
               "server");
            sh(std::string("ip ") + family + " route add default via " +
               (six ? "2001:db8:1::2" : "10.0.1.2"));
        }
        const std::string path = "/tmp/evnf-" + std::to_string(::getpid()) + ".nft";
        std::ofstream rules(path);
        for (const bool six : {false, true}) {
            const std::string ip = six ? "ip6" : "ip";
            const std::string to = six ? "[" + server6 + "]:" : server + ":";
            rules << "table " << ip << " t { chain pre { type nat hook prerouting priority -100;\n"
                  << ip << " daddr " << (six ? vip6 : vip) << " tcp dport 80 dnat to " << to
                  << tcp_port << "\n"
                  << ip << " daddr " << (six ? vip6 : vip) << " udp dport 80 dnat to " << to
                  << udp_port << "\n};\n";
            if (source_nat)
                rules << "chain post { type nat hook postrouting priority 100; oifname server "
                         "meta l4proto { tcp, udp } snat to "
                      << (six ? "[" + source6 + "]" : source) << ":1024-32767; };\n";
            rules << "}\n";
        }
        rules.close();
        sh("nft -f " + path);
        std::remove(path.c_str());
        // Any order of flags and numbers belongs to the connection.
        sh("sysctl -qw net.netfilter.nf_conntrack_tcp_be_liberal=1");
    }

    // What the frame has become on the other side; empty: nothing came.
    Bytes forward(const Bytes &frame, bool from_client)
    {
        send(frame, from_client);
        return received(from_client);
    }
    void send(Bytes frame, bool from_client)
    {
        const End &in = from_client ? client_ : server_;
        std::copy(in.mac.begin(), in.mac.end(), frame.begin());
        REQUIRE(::send(in.socket.get(), frame.data(), frame.size(), 0) ==
                static_cast<ssize_t>(frame.size()));
    }
    Bytes received(bool from_client)
    {
        const End &out = from_client ? server_ : client_;
        Bytes got(4096);
        for (;;) {
            pollfd wait{out.socket.get(), POLLIN, 0};
            if (::poll(&wait, 1, 1000) != 1)
                return {};
            sockaddr_ll from{};
            socklen_t size = sizeof from;
            const auto n = ::recvfrom(out.socket.get(), got.data(), got.size(), 0,
                                      reinterpret_cast<sockaddr *>(&from), &size);
            REQUIRE(n > 0);
            if (from.sll_pkttype == PACKET_OUTGOING)
                continue; // sent by this test
            got.resize(static_cast<std::size_t>(n));
            return got;
        }
    }

private:
    struct End {
        Fd socket;
        std::array<std::uint8_t, 6> mac; // of the router's interface
    };

    static void side(End &end, const std::string &name, const std::string &v4,
                     const std::string &v6)
    {
        end.mac = {0x02, 0, 0, 0, 0x01, static_cast<std::uint8_t>(name[0])};
        char mac[18];
        std::snprintf(mac, sizeof mac, "02:00:00:00:01:%02x", end.mac[5]);
        sh("ip link add " + name + " address " + mac + " type veth peer name " + name + "-");
        sh("ip address add " + v4 + " dev " + name);
        sh("ip address add " + v6 + " nodad dev " + name);
        sh("sysctl -qw net.ipv6.conf." + name + "-.disable_ipv6=1");
        sh("ip link set " + name + " up; ip link set " + name + "- up arp off");
        end.socket = Fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
        sockaddr_ll at{};
        at.sll_family = AF_PACKET;
        at.sll_protocol = htons(ETH_P_ALL);
        at.sll_ifindex = static_cast<int>(::if_nametoindex((name + "-").c_str()));
        REQUIRE(end.socket);
        REQUIRE(::bind(end.socket.get(), reinterpret_cast<const sockaddr *>(&at), sizeof at) == 0);
    }

    End client_, server_;
};

// The datagram after one more router.
Bytes forwarded(const Bytes &frame, const Layout &at)
{
    Bytes out(frame.begin() + static_cast<long>(at.l3), frame.begin() + static_cast<long>(at.end));
    if (out[0] >> 4 == 6) {
        --out[7];
        return out;
    }
    REQUIRE(header_sum(out, 0) == 0xffff);
    --out[8];
    out[10] = out[11] = 0;
    const auto sum = plain_checksum(plain_sum(out.data(), (out[0] & 0xfU) * 4));
    out[10] = static_cast<std::uint8_t>(sum >> 8);
    out[11] = static_cast<std::uint8_t>(sum);
    return out;
}

template <bool source_nat>
class Oracle : public Connected
{
public:
    void compare_flows();
    // Sends a frame both ways: what came out of elb must be what the kernel made of it.
    void compare(const Frame &f, bool from_client)
    {
        const Bytes in = build(f);
        const Layout at = layout(f);
        const Bytes ours = forwarded(run(in).out, at);
        REQUIRE(left(stage_at, from_client ? ELB_NEXT_BACKEND : ELB_NEXT_CLIENT) == 1);
        Bytes theirs = kernel.forward(in, from_client);
        INFO("in\n"
             << hex(in) << "\nours, from the IP header\n"
             << hex(ours) << "\nthe kernel's frame\n"
             << hex(theirs));
        REQUIRE(theirs.size() >= 14 + ours.size());
        theirs = Bytes(theirs.begin() + 14, theirs.begin() + 14 + static_cast<long>(ours.size()));
        REQUIRE(theirs == ours);
        ++compared;
    }

    KernelNat kernel{source_nat};
    unsigned compared = 0;
};

template <bool source_nat>
void Oracle<source_nat>::compare_flows()
{
    std::vector<json> services{service(vip, 80, "tcp", {backend(server, tcp_port)}),
                               service(vip, 80, "udp", {backend(server, udp_port)}),
                               service(vip6, 80, "tcp", {backend(server6, tcp_port)}),
                               service(vip6, 80, "udp", {backend(server6, udp_port)})};
    if (source_nat)
        for (auto &s : services) {
            s["forward"] = "source_nat";
            s["sources"] = {s["address"] == vip ? source : source6};
        }
    configure(services);
    Random random(17);
    const auto vary = [&](Frame &f) {
        const bool six = f.src.find(':') != std::string::npos;
        f.ttl = static_cast<std::uint8_t>(2 + roll(random, 254));
        f.tos = static_cast<std::uint8_t>(random());
        f.ip_options = six || roll(random, 4) ? 0 : 4 * roll(random, 11);
        f.ext.clear();
        if (six && roll(random, 4) == 0)
            f.ext = {{IPPROTO_DSTOPTS, 8 * (1 + roll(random, 3))}};
        f.tcp_options = f.proto == IPPROTO_TCP ? 4 * roll(random, 11) : 0;
        f.tcp_seq = static_cast<std::uint32_t>(random());
        f.payload.resize(roll(random, 200));
        for (auto &byte : f.payload)
            byte = static_cast<std::uint8_t>(random());
        f.padding = roll(random, 2) ? roll(random, 20) : 0;
        f.csum = f.proto == IPPROTO_UDP && !six && roll(random, 4) == 0 ? Csum::zero : Csum::right;
    };
    // The start of a packet of the connection, as a router that tells of it quotes it.
    const auto quote = [&](Frame f) {
        vary(f);
        f.padding = 0;
        const Bytes whole = build(f);
        const Layout at = layout(f);
        std::size_t end = at.l4 + 8 + roll(random, static_cast<unsigned>(at.end - at.l4 - 8) + 1);
        if (f.proto == IPPROTO_TCP && (end == at.l4 + 18 || end == at.l4 + 19))
            end = at.l4 + 20;
        return Bytes(whole.begin() + static_cast<long>(at.l3),
                     whole.begin() + static_cast<long>(end));
    };
    for (unsigned flow = 0; flow < flows; ++flow) {
        const bool six = flow % 2, tcp = flow / 2 % 2;
        const std::string at = six ? server6 : server;
        const unsigned port = tcp ? tcp_port : udp_port;
        Frame there = to_vip(six ? "2001:db8:9::" + std::to_string(1 + roll(random, 9999))
                                 : "198.51.100." + std::to_string(1 + roll(random, 254)),
                             1024 + flow, tcp ? IPPROTO_TCP : IPPROTO_UDP);
        Frame back = answer_to(there, at, port, syn | ack);
        // Both leave the port as it is: it is in the range, and no other flow has it.
        if (source_nat)
            back.dst = six ? source6 : source;
        vary(there);
        vary(back);
        compare(there, true);
        compare(back, false);
        there.tcp_ack = back.tcp_seq + 1;
        there.tcp_flags = back.tcp_flags = ack;
        for (int packet = 0; packet < 12; ++packet) {
            const bool from_client = roll(random, 2);
            Frame &f = from_client ? there : back;
            vary(f);
            f.tcp_flags = static_cast<std::uint8_t>(ack | (roll(random, 2) ? psh : 0));
            if (roll(random, 3)) {
                compare(f, from_client);
                continue;
            }
            // An error from either side about what came from the other.
            Frame about = from_client ? back : there;
            if (from_client) { // as the backend's packet was seen there
                about.src = there.dst;
                about.sport = 80;
                about.dst = there.src;
            } else {
                about.src = back.dst;
                about.dst = at;
                about.dport = static_cast<std::uint16_t>(port);
            }
            const std::string router = six ? (from_client ? "2001:db8:1::2" : "2001:db8:2::77")
                                           : (from_client ? "10.0.1.2" : "10.0.2.77");
            Frame error{.src = roll(random, 3) ? router : about.dst,
                        .dst = about.src,
                        .ttl = 64,
                        .proto = static_cast<std::uint8_t>(six ? 58 : 1),
                        .icmp_type = static_cast<std::uint8_t>(six ? 1 + roll(random, 4)
                                                               : roll(random, 2) ? 3
                                                                                 : 11),
                        .icmp_code = static_cast<std::uint8_t>(roll(random, 2)),
                        .payload = quote(about)};
            compare(error, from_client);
        }
        CHECK(established() > 0);
    }
    CHECK(compared == flows * 14);
}

} // namespace

TEST_CASE_METHOD(Oracle<false>, "elb makes of a packet what netfilter's DNAT makes of it")
{
    compare_flows();
}

TEST_CASE_METHOD(Oracle<true>, "with source NAT it makes of it what netfilter's DNAT and SNAT make")
{
    compare_flows();
}

TEST_CASE_METHOD(Oracle<false>, "elb makes of fragments what netfilter makes of them")
{
    configure({service(vip, 80, "tcp", {backend(server, tcp_port)}),
               service(vip, 80, "udp", {backend(server, udp_port)}),
               service(vip6, 80, "tcp", {backend(server6, tcp_port)}),
               service(vip6, 80, "udp", {backend(server6, udp_port)})});
    Random random(19);
    unsigned same = 0;
    for (unsigned flow = 0; flow < 200; ++flow) {
        const bool six = flow % 2, tcp = flow / 2 % 2;
        const unsigned port = tcp ? tcp_port : udp_port;
        const Frame open =
            to_vip(six ? client6 : client, 1024 + flow, tcp ? IPPROTO_TCP : IPPROTO_UDP);
        const Frame answer = answer_to(open, six ? server6 : server, port, syn | ack);
        compare(open, true);
        compare(answer, false);
        for (const bool from_client : {true, false}) {
            Frame f = from_client ? open : answer;
            f.tcp_flags = ack;
            f.payload.resize(1500 + roll(random, 5000));
            for (auto &byte : f.payload)
                byte = static_cast<std::uint8_t>(random());
            // Of one length but the last, as netfilter makes them anew; in IPv6 of 1280 bytes at
            // least.
            const Layout at = layout(f);
            std::vector<std::size_t> cuts;
            const std::size_t length = 8 * (154 + roll(random, 28));
            for (std::size_t cut = length; cut < at.end - at.l4; cut += length)
                cuts.push_back(cut);
            const auto parts = fragments(f, build(f), 1 + flow, cuts);
            for (const auto &part : parts)
                kernel.send(part, from_client);
            std::uint32_t id = 0; // the kernel gives IPv6's datagrams another
            for (std::size_t i = 0; i < parts.size(); ++i) {
                const Layout whole{at.l3, at.l4, parts[i].size()};
                Bytes ours = forwarded(run(parts[i]).out, whole);
                REQUIRE(left(stage_at, from_client ? ELB_NEXT_BACKEND : ELB_NEXT_CLIENT) == 1);
                Bytes theirs = kernel.received(from_client);
                REQUIRE(theirs.size() >= 14 + ours.size());
                theirs = Bytes(theirs.begin() + 14,
                               theirs.begin() + 14 + static_cast<long>(ours.size()));
                if (six) {
                    std::uint32_t theirs_id;
                    std::memcpy(&theirs_id, &theirs[44], 4);
                    REQUIRE((i == 0 || theirs_id == id));
                    id = theirs_id;
                    std::copy(ours.begin() + 44, ours.begin() + 48, theirs.begin() + 44);
                }
                INFO("ours\n" << hex(ours) << "\nthe kernel's\n" << hex(theirs));
                REQUIRE(theirs == ours);
                ++same;
            }
        }
    }
    CHECK(same > 800);
}

TEST_CASE_METHOD(Oracle<false>, "elb keeps a port as netfilter's DNAT of a range does")
{
    std::vector<json> services;
    for (const auto *protocol : {"tcp", "udp"})
        for (const bool six : {false, true}) {
            json s =
                service(six ? vip6 : vip, 0, protocol, {{{"address", six ? server6 : server}}});
            s["port"] = "1000-1999";
            services.push_back(s);
            sh(std::string("nft add rule ") + (six ? "ip6" : "ip") + " t pre " +
               (six ? "ip6" : "ip") + " daddr " + (six ? vip6 : vip) + " " + protocol +
               " dport 1000-1999 dnat to " + (six ? server6 : server));
        }
    configure(services);
    Random random(29);
    for (unsigned flow = 0; flow < 200; ++flow) {
        const bool six = flow % 2, tcp = flow / 2 % 2;
        Frame open = to_vip(six ? client6 : client, 1024 + flow, tcp ? IPPROTO_TCP : IPPROTO_UDP);
        open.dport = static_cast<std::uint16_t>(1000 + roll(random, 1000));
        open.payload.resize(roll(random, 100));
        compare(open, true);
        compare(answer_to(open, six ? server6 : server, open.dport, syn | ack), false);
        open.tcp_flags = ack;
        compare(open, true);
        compare(answer_to(open, six ? server6 : server, open.dport), false);
    }
    CHECK(compared == 800);
}
