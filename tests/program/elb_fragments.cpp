// SPDX-License-Identifier: GPL-2.0-or-later
// elb and fragments: all of a datagram take the way of the first, and are the datagram
// rewritten when they are put together.
#include <catch2/catch.hpp>

#include "support/elb_connected.hpp"
#include "support/fragments.hpp"
#include "vnfs/elb/connections.hpp"

using namespace evnf;
using namespace evnf::test;

namespace
{

const std::string server = "10.0.2.11", server6 = "2001:db8:2::11";

class Fragments : public Connected
{
public:
    // One backend for each service: what is asked here is not who gets what.
    void services()
    {
        std::vector<json> out;
        for (const auto *protocol : {"tcp", "udp"})
            for (const bool six : {false, true})
                out.push_back(service(six ? vip6 : vip, 80, protocol,
                                      {backend(six ? server6 : server, 8080)}));
        configure(out);
    }
    std::size_t notes()
    {
        return must(bpf::Map<elb_fragment_key, elb_fragment>::bind(maps, "elb_fragments"))
            .keys()
            .size();
    }
    // The one reason for which the frame left the stage; it must be as it was.
    unsigned untouched(const Bytes &in)
    {
        for (unsigned reason = 0; reason < CHAIN_MAX_REASONS; ++reason)
            left(stage_at, reason); // of what was before
        const Ran r = run(in);
        CHECK(r.out == in);
        for (unsigned reason = 0; reason < CHAIN_MAX_REASONS; ++reason)
            if (left(stage_at, reason))
                return reason;
        return ~0U;
    }
};

// A datagram on its way, and what is to become of it.
struct Sent {
    Frame wanted;
    unsigned reason;
    std::vector<Bytes> in, want;
    std::vector<std::size_t> order; // the first is first
};

Frame random_datagram(Random &random, bool six, bool tcp, unsigned sport)
{
    Frame f = to_vip(six ? client6 : client, sport, tcp ? IPPROTO_TCP : IPPROTO_UDP);
    f.tos = static_cast<std::uint8_t>(random());
    f.ip_options = six || roll(random, 4) ? 0 : 4 * roll(random, 11);
    if (six && roll(random, 4) == 0)
        f.ext = {{IPPROTO_DSTOPTS, 8 * (1 + roll(random, 3))}};
    f.tcp_options = tcp ? 4 * roll(random, 11) : 0;
    f.payload.resize(100 + roll(random, roll(random, 8) ? 3000 : 20000));
    for (auto &byte : f.payload)
        byte = static_cast<std::uint8_t>(random());
    f.csum = !tcp && !six && roll(random, 4) == 0 ? Csum::zero : Csum::right;
    f.vlans.resize(roll(random, 3));
    return f;
}

} // namespace

TEST_CASE_METHOD(Fragments, "fragments take the way of the first, and are the rewritten datagram")
{
    services();
    Random random(23);
    std::uint32_t id = 1;
    for (int round = 0; round < 60; ++round) {
        std::vector<Sent> all; // whose fragments come mixed
        for (unsigned i = 0; i < 1 + roll(random, 6); ++i) {
            const bool six = roll(random, 2), tcp = roll(random, 2), back = roll(random, 2);
            const std::string at = six ? server6 : server;
            Frame f = random_datagram(random, six, tcp, 1024 + i), wanted;
            if (back) {
                Frame open = f;
                open.payload.clear();
                run(build(open));
                left(stage_at, ELB_NEXT_BACKEND);
                f = answer_to(f, at, 8080);
                wanted = f;
                wanted.src = open.dst;
                wanted.sport = 80;
            } else {
                wanted = f;
                wanted.dst = at;
                wanted.dport = 8080;
            }
            // IPv4's id is one for each protocol and direction, so some have the same.
            const std::uint32_t own = roll(random, 2) ? id : ++id;
            const std::size_t header = tcp ? 20 + f.tcp_options : 8;
            const Layout layers = layout(f);
            const auto cuts = random_cuts(random, header, layers.end - layers.l4);
            Sent s{wanted, back ? ELB_NEXT_CLIENT : ELB_NEXT_BACKEND,
                   fragments(f, build(f), own, cuts), fragments(wanted, build(wanted), own, cuts),
                   std::vector<std::size_t>(cuts.size() + 1)};
            const auto same_key = [&](const Sent &other) {
                return other.wanted.src == wanted.src && other.wanted.dst == wanted.dst;
            };
            if (std::any_of(all.begin(), all.end(), same_key))
                continue;
            for (std::size_t k = 0; k < s.order.size(); ++k)
                s.order[k] = k;
            std::shuffle(s.order.begin() + 1, s.order.end(), random);
            all.push_back(std::move(s));
        }
        std::vector<std::vector<Bytes>> out(all.size());
        for (std::size_t waiting = all.size(); waiting;) {
            const auto n = roll(random, static_cast<unsigned>(all.size()));
            Sent &s = all[n];
            if (out[n].size() == s.order.size())
                continue;
            const std::size_t k = s.order[out[n].size()];
            const Ran r = run(s.in[k]);
            INFO("fragment " << k << "\nin\n"
                             << hex(s.in[k]) << "\nout\n"
                             << hex(r.out) << "\nwant\n"
                             << hex(s.want[k]));
            REQUIRE(left(stage_at, s.reason) == 1);
            REQUIRE(r.out == s.want[k]);
            REQUIRE(address_of(r.seen.flow.saddr) == s.wanted.src);
            REQUIRE(address_of(r.seen.flow.daddr) == s.wanted.dst);
            out[n].push_back(r.out);
            waiting -= out[n].size() == s.order.size();
        }
        // By another way: what a host makes of them has a right checksum.
        for (std::size_t n = 0; n < all.size(); ++n) {
            const Frame &f = all[n].wanted;
            const Layout at = layout(f);
            const bool six = f.src.find(':') != std::string::npos;
            Bytes whole(out[n][0].begin(), out[n][0].begin() + static_cast<long>(at.l4));
            const Bytes data = reassembled(out[n], at.l3, at.l4 + (six ? 8 : 0));
            whole.insert(whole.end(), data.begin(), data.end());
            REQUIRE(whole.size() == at.end);
            if (f.csum == Csum::right)
                REQUIRE(segment_sum(whole, at.l3, at.l4, at.end, f.proto) == 0xffff);
        }
        ++id;
    }
    CHECK(shown()["connections"].get<int>() > 0);
}

TEST_CASE_METHOD(Fragments, "a first fragment is of its connection as a whole packet is")
{
    configure({service(vip, 80, "tcp", servers(1))});
    const Frame open = to_vip(client, 4000);
    establish(open);
    configure({service(vip, 80, "tcp", {backend("10.0.2.12", 8080)})});
    Frame data = open;
    data.tcp_flags = ack;
    data.payload.resize(200);
    const auto send = [&](const Frame &f) {
        std::vector<std::string> to;
        for (const auto &part : fragments(f, build(f), 7, {24, 80, 160}))
            to.push_back(address_of(run(part).seen.flow.daddr));
        CHECK(to == std::vector<std::string>(4, to[0]));
        return to[0];
    };
    CHECK(send(data) == "10.0.2.11");
    data.tcp_flags = fin | ack;
    CHECK(send(data) == "10.0.2.11");
    run(build(open)); // it has ended, so this opens another
    CHECK(send(data) == "10.0.2.12");
    Frame query = to_vip(client, 1, IPPROTO_UDP); // opened by a fragment, and no service
    query.payload.resize(200);
    CHECK(send(query) == vip);
    configure({service(vip, 80, "udp", servers(1))});
    CHECK(send(query) == "10.0.2.11");
    CHECK(comes_from(answer_to(query, "10.0.2.11", 8080)) == vip);
    CHECK(send(query) == "10.0.2.11");
    CHECK(established() == 1);
}

TEST_CASE_METHOD(Fragments, "a fragment of which nothing is known is dropped, and counted")
{
    services();
    for (const bool six : {false, true}) {
        Frame f = to_vip(six ? client6 : client, 5000, IPPROTO_UDP);
        f.payload.resize(100);
        const auto parts = fragments(f, build(f), 77, {16, 64});
        CHECK(untouched(parts[1]) == ELB_DROP_FRAGMENT);
        CHECK(run(parts[2]).verdict == XDP_DROP);
        CHECK(left(stage_at, ELB_DROP_FRAGMENT) == 1);
        CHECK(run(parts[0]).verdict == XDP_PASS);
        CHECK(run(parts[2]).verdict == XDP_PASS);
        CHECK(run(parts[1]).verdict == XDP_PASS);
        CHECK(left(stage_at, ELB_NEXT_BACKEND) == 3);
        // Of another datagram, or of another sender.
        CHECK(untouched(fragments(f, build(f), 78, {16, 64})[1]) == ELB_DROP_FRAGMENT);
        Frame other = f;
        other.src = six ? "2001:db8:9::8" : "198.51.100.8";
        CHECK(untouched(fragments(other, build(other), 77, {16, 64})[1]) == ELB_DROP_FRAGMENT);
        // A backend's.
        const Frame answer = answer_to(f, six ? server6 : server, 8080);
        CHECK(untouched(fragments(answer, build(answer), 77, {16, 64})[1]) == ELB_DROP_FRAGMENT);
    }
    Frame f = to_vip(client, 5000, IPPROTO_UDP), tcp = to_vip(client, 5000, IPPROTO_TCP);
    f.payload.resize(100);
    tcp.payload.resize(100);
    run(fragments(f, build(f), 79, {16, 64})[0]);
    CHECK(untouched(fragments(tcp, build(tcp), 79, {24})[1]) == ELB_DROP_FRAGMENT);
}

TEST_CASE_METHOD(Fragments,
                 "a first fragment without the whole header is dropped, as those after it")
{
    services();
    for (const bool six : {false, true})
        for (const std::size_t cut : {8, 16}) {
            Frame f = to_vip(six ? client6 : client, 5000);
            f.payload.resize(100);
            const auto whole = fragments(f, build(f), 80, {24});
            run(whole[0]);
            CHECK(left(stage_at, ELB_NEXT_BACKEND) == 1);
            const auto parts = fragments(f, build(f), 80, {cut, 24});
            for (const auto &part : parts)
                CHECK(untouched(part) == ELB_DROP_FRAGMENT);
        }
}

TEST_CASE_METHOD(Fragments, "what is not balanced is whole or in fragments the same")
{
    configure({service(vip, 80, "udp", servers(1)), service(vip, 81, "udp", {}),
               service(vip6, 80, "udp", {backend(server6, 8080)})});
    const auto goes = [&](const Frame &f) {
        const auto parts = fragments(f, build(f), 90, {24, 64});
        const unsigned reason = untouched(parts[0]);
        CHECK(untouched(parts[2]) == reason);
        CHECK(untouched(parts[1]) == reason);
        return reason;
    };
    Frame f = to_vip(client, 5000, IPPROTO_UDP);
    f.payload.resize(100);
    f.dport = 81;
    CHECK(goes(f) == ELB_SLOW_NO_BACKEND);
    f.dport = 82;
    CHECK(goes(f) == NEXT);
    CHECK(notes() == 1);
    f.dst = "203.0.113.9"; // whom elb does not know
    CHECK(goes(f) == NEXT);
    CHECK(notes() == 1);
    f.dst = vip;
    f.proto = IPPROTO_ICMP;
    CHECK(goes(f) == SLOW_FRAGMENT);
    // Nothing is known of what a header after the fragment's hides.
    Frame six = to_vip(client6, 5000, IPPROTO_UDP);
    six.payload.resize(100);
    for (const unsigned field : {1U, 64U | 1U, 96U}) {
        six.ext = {{44, 8, static_cast<std::uint16_t>(field)}, {60, 8}};
        CHECK(untouched(build(six)) == SLOW_FRAGMENT);
    }
    six.ext = {{43, 8}, {44, 8, 1}};
    CHECK(untouched(build(six)) == SLOW_FRAGMENT);
    six.ext = {{44, 8, 0}}; // of one, which is whole (RFC 6946)
    CHECK(goes_to(six) == server6);
    CHECK(notes() == 1);
}

TEST_CASE_METHOD(Fragments, "a note counts for its datagram, not for one long after")
{
    using std::chrono::seconds;
    services();
    elb::Connections connections = must(elb::Connections::bind(maps));
    const auto begin = std::chrono::steady_clock::now();
    must(connections.tick(begin, {}));
    Frame f = to_vip(client, 5000, IPPROTO_UDP);
    f.payload.resize(100);
    const auto parts = fragments(f, build(f), 100, {16, 64});
    run(parts[0]);
    must(connections.tick(begin + seconds(30), {}));
    CHECK(run(parts[1]).verdict == XDP_PASS);
    must(connections.tick(begin + seconds(31), {}));
    CHECK(untouched(parts[1]) == ELB_DROP_FRAGMENT);
    // An id used again: those that follow go with the latest.
    Frame other = f;
    other.dport = 82;
    run(parts[0]);
    run(fragments(other, build(other), 100, {16, 64})[0]);
    CHECK(untouched(parts[1]) == NEXT);
    run(parts[0]);
    CHECK(address_of(run(parts[1]).seen.flow.daddr) == server);
}

TEST_CASE_METHOD(Fragments, "a flood of fragments leaves bounded notes, and connections alone")
{
    services();
    const Frame open = to_vip(client, 4000);
    const std::string at = establish(open);
    for (unsigned i = 0; i < 2 * ELB_MAX_FRAGMENTS; ++i) {
        Frame f = to_vip("198.18." + std::to_string(i / 250 % 250) + "." + std::to_string(i % 250),
                         i % 60000, IPPROTO_UDP);
        f.payload.resize(16);
        run(fragments(f, build(f), i, {8})[0]);
    }
    CHECK(notes() <= ELB_MAX_FRAGMENTS);
    Frame data = open;
    data.tcp_flags = ack;
    CHECK(goes_to(data) == at);
    data.payload.resize(100);
    for (const auto &part : fragments(data, build(data), 9, {40}))
        CHECK(address_of(run(part).seen.flow.daddr) == at);
}
