// SPDX-License-Identifier: GPL-2.0-or-later
// elb's services of some, many or all ports, against a plain model: whose a packet is, which
// port it goes to, and which port the answer comes from.
#include <catch2/catch.hpp>

#include <map>
#include <set>

#include "support/elb_connected.hpp"
#include "vnfs/elb/ports.hpp"

using namespace evnf;
using namespace evnf::test;

namespace
{

struct Offer {
    std::string at, protocol;
    std::vector<std::pair<unsigned, unsigned>> ranges; // 0 to 65535: all
    std::string backend;
    unsigned port = 0; // the backend's; 0: the same

    // How near a port is to what is offered: 0 by itself, 1 in a range, 2 as any, 3 not.
    [[nodiscard]] unsigned rank(unsigned asked) const
    {
        unsigned best = 3;
        for (const auto &[first, last] : ranges)
            if (first <= asked && asked <= last)
                best = std::min(best, first == last ? 0U : last - first == 65535 ? 2U : 1U);
        return best;
    }
    [[nodiscard]] json table() const
    {
        json ports = json::array();
        for (const auto &[first, last] : ranges) {
            if (first == last)
                ports.push_back(first);
            else if (last - first == 65535)
                ports = "all";
            else
                ports.push_back(std::to_string(first) + "-" + std::to_string(last));
        }
        json b{{"address", backend}};
        if (port)
            b["port"] = port;
        return {{"address", at}, {"port", ports}, {"protocol", protocol}, {"backends", {b}}};
    }
};

// Whose a packet is.
const Offer *offered(const std::vector<Offer> &offers, const Frame &f)
{
    const Offer *best = nullptr;
    for (const auto &o : offers)
        if (o.at == f.dst && (o.protocol == "tcp") == (f.proto == IPPROTO_TCP) &&
            o.rank(f.dport) < 3 && (!best || o.rank(f.dport) < best->rank(f.dport)))
            best = &o;
    return best;
}

// Services that elb takes, on few addresses, so that they meet.
std::vector<Offer> random_offers(Random &random)
{
    std::vector<Offer> out;
    std::vector<json> tables;
    unsigned server = 0;
    for (int tries = 0; tries < 24; ++tries) {
        const bool six = roll(random, 2);
        const std::string last = std::to_string(10 + roll(random, 3));
        Offer o{(six ? "2001:db8::" : "192.0.2.") + last, roll(random, 2) ? "tcp" : "udp", {}, {}};
        // Backends of several services, some of which differ only in the port.
        server = roll(random, 3) ? server + 1 : server;
        o.backend = (six ? "2001:db8:2::" : "10.0.2.") + std::to_string(1 + server);
        for (unsigned n = 1 + roll(random, 3); n > 0; --n) {
            const unsigned first = 1 + roll(random, roll(random, 2) ? 300 : 65535);
            const unsigned length = roll(random, 3) ? roll(random, 200) : roll(random, 30000);
            o.ranges.push_back({first, roll(random, 3) ? std::min(first + length, 65535U) : first});
        }
        if (roll(random, 5) == 0)
            o.ranges = {{0, 65535}};
        o.port = roll(random, 2) ? 1 + roll(random, 300) : 0;
        tables.push_back(o.table());
        if (!find_vnf("elb")->check({{"service", tables}}, nullptr)) {
            tables.pop_back();
            continue;
        }
        out.push_back(o);
    }
    return out;
}

} // namespace

TEST_CASE_METHOD(Connected, "a packet is the nearest service's, and its answers come from there")
{
    Random random(31);
    unsigned balanced = 0, kept = 0, several = 0;
    std::uint16_t sport = 1;
    for (int round = 0; round < 40; ++round) {
        // Also from one set of services to another, in place.
        const auto offers = random_offers(random);
        std::vector<json> tables;
        for (const auto &o : offers)
            tables.push_back(o.table());
        configure(tables);
        for (int packet = 0; packet < 120; ++packet) {
            const auto &near = offers[roll(random, static_cast<unsigned>(offers.size()))];
            const auto &range =
                near.ranges[roll(random, static_cast<unsigned>(near.ranges.size()))];
            const std::array<unsigned, 5> asked{range.first, range.second, range.first - 1,
                                                range.second + 1,
                                                range.first + (range.second - range.first) / 2};
            Frame f;
            f.dst = near.at;
            f.src = near.at.find(':') == std::string::npos ? client : client6;
            f.proto =
                (roll(random, 8) == 0) != (near.protocol == "tcp") ? IPPROTO_TCP : IPPROTO_UDP;
            f.dport =
                static_cast<std::uint16_t>(roll(random, 4) ? asked[roll(random, 5)] : random());
            f.sport = ++sport; // each is another connection
            f.tcp_flags = syn;
            const Offer *o = offered(offers, f);
            const Bytes in = build(f);
            const Ran r = run(in);
            if (!o) {
                REQUIRE(r.out == in);
                continue;
            }
            several += std::count_if(offers.begin(), offers.end(), [&](const Offer &other) {
                           return other.at == f.dst && other.protocol == o->protocol &&
                                  other.rank(f.dport) < 3;
                       }) > 1;
            Frame want = f;
            want.dst = o->backend;
            want.dport = static_cast<std::uint16_t>(o->port ? o->port : f.dport);
            INFO("to " << f.dst << " " << f.dport);
            REQUIRE(r.out == build(want));
            REQUIRE(ntohs(r.seen.flow.dport) == want.dport);
            Frame answer = answer_to(f, want.dst, want.dport, syn | ack), back = answer;
            back.src = f.dst;
            back.sport = f.dport;
            REQUIRE(run(build(answer)).out == build(back));
            if (roll(random, 2)) { // established
                f.tcp_flags = want.tcp_flags = answer.tcp_flags = back.tcp_flags = ack;
                f.tcp_ack = want.tcp_ack = answer.tcp_seq + 1;
                REQUIRE(run(build(f)).out == build(want));
                REQUIRE(run(build(answer)).out == build(back));
            }
            // What a router says of an answer is for the backend, of the packet for the client.
            const bool six = f.src.find(':') != std::string::npos;
            Frame error{.src = six ? "2001:db8:7::1" : "203.0.113.1",
                        .dst = f.dst,
                        .proto = static_cast<std::uint8_t>(six ? 58 : 1),
                        .icmp_type = static_cast<std::uint8_t>(six ? 1 : 3)};
            const auto quoted = [](const Frame &inner) {
                const Bytes b = build(inner);
                return Bytes(b.begin() + 14, b.end());
            };
            error.payload = quoted(back);
            Frame told = error;
            told.dst = want.dst;
            told.payload = quoted(answer);
            REQUIRE(run(build(error)).out == build(told));
            ++balanced;
            kept += !o->port;
        }
    }
    CHECK(balanced > 1000);
    CHECK(kept > 300);
    CHECK(several > 100);
}

TEST_CASE_METHOD(Connected, "ports that lead to one port of a backend are told apart")
{
    json all = service(vip, 80, "tcp", {backend("10.0.2.11", 8080), backend("10.0.2.12", 8080)});
    all["port"] = "1000-1999";
    configure({all});
    std::map<std::string, unsigned> used;
    for (unsigned port = 1000; port < 1050; ++port) {
        Frame open = to_vip(client, 4000); // the same port of the client for each
        open.dport = static_cast<std::uint16_t>(port);
        const Ran r = run(build(open));
        if (left(stage_at, ELB_DROP_WAY_BACK))
            continue;
        const std::string at = address_of(r.seen.flow.daddr);
        CHECK(!used.contains(at));
        used[at] = port;
        const Ran back = run(build(answer_to(open, at, 8080, syn | ack)));
        CHECK(ntohs(back.seen.flow.sport) == port);
    }
    CHECK(used.size() == 2);
}

TEST_CASE_METHOD(Connected, "a change of ports leaves what is still a service, and connections")
{
    const auto with = [&](const json &port) {
        json s = service(vip, 80, "tcp", {json{{"address", "10.0.2.11"}}});
        s["port"] = port;
        configure({s});
    };
    const auto taken = [&](unsigned port) {
        static std::uint16_t sport = 0;
        Frame f = to_vip(client, ++sport);
        f.dport = static_cast<std::uint16_t>(port);
        return goes_to(f) == "10.0.2.11";
    };
    with("8000-8999");
    Frame open = to_vip(client, 60000);
    open.dport = 8500;
    run(build(open));
    run(build(answer_to(open, "10.0.2.11", 8500, syn | ack)));
    with("8000-8063,9000,9100"); // with prefixes and then a port of the one before
    CHECK(taken(8000));
    CHECK(taken(8063));
    CHECK(!taken(8064));
    CHECK(taken(9000));
    with(json::array({9000, "8000-8127"}));
    CHECK(taken(9000));
    CHECK(!taken(9100));
    CHECK(taken(8127));
    with(9000);
    CHECK(taken(9000));
    CHECK(!taken(8000));
    open.tcp_flags = ack;
    CHECK(goes_to(open) == "10.0.2.11");
    with("all");
    for (const unsigned port : {1U, 80U, 9000U, 65535U})
        CHECK(taken(port));
    // What cannot be put in force leaves what was.
    json too_long = section;
    configure({});
    CHECK(!taken(80));
    section = too_long;
    must(fast_path->apply(section));
    CHECK(taken(80));
}

TEST_CASE("ranges are told by prefixes that have just their ports")
{
    Random random(9);
    std::vector<elb::PortRange> ranges{
        {0, 65535}, {1, 65535}, {1, 65534}, {80, 81}, {65534, 65535}};
    for (int i = 0; i < 300; ++i) {
        const auto a = static_cast<std::uint16_t>(random()),
                   b = static_cast<std::uint16_t>(random());
        ranges.push_back({std::min(a, b), std::max(a, b)});
    }
    for (const auto &range : ranges) {
        std::vector<unsigned> times(65536);
        const auto prefixes = elb::prefixes_of(range);
        CHECK(prefixes.size() <= ELB_RANGE_PREFIXES);
        for (const auto &p : prefixes)
            for (unsigned i = 0; i < 1U << (16 - p.length); ++i)
                ++times.at(p.port + i);
        std::vector<unsigned> want(65536);
        std::fill(want.begin() + range.first, want.begin() + range.last + 1, 1);
        REQUIRE(times == want);
    }
}
