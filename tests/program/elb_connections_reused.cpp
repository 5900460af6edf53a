// SPDX-License-Identifier: GPL-2.0-or-later
// elb's connections where ports and backends are used again: by other services, after an
// end that was none, after a backend that has gone; and the clock that they age by.
#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sys/resource.h>

#include "base/fd.hpp"
#include "support/elb_connected.hpp"
#include "vnfs/elb/connections.hpp"

using namespace evnf;
using namespace evnf::test;

namespace
{

const std::string other_vip = "192.0.2.20";

// The same client and port, to another service of the same backends.
Frame to_other(Frame f)
{
    f.dst = other_vip;
    return f;
}

} // namespace

TEST_CASE_METHOD(Connected,
                 "services that share a backend share a client's ports one after the other")
{
    configure({service(vip, 80, "tcp", servers(1)), service(other_vip, 80, "tcp", servers(1))});
    const auto end = [&](const Frame &f, bool by_client) {
        Frame last = f;
        last.tcp_flags = fin | ack;
        run(build(by_client ? last : answer_to(f, "10.0.2.11", 8080, fin | ack)));
    };
    for (const bool client_first : {true, false}) {
        const Frame open = to_vip(client, client_first ? 4000 : 5000), other = to_other(open);
        const Frame answer = answer_to(open, "10.0.2.11", 8080);
        establish(open);
        CHECK(comes_from(answer) == vip);
        for (const bool by_client : {client_first, !client_first}) {
            run(build(other)); // the first is still in use, if by one side only
            CHECK(left(stage_at, ELB_DROP_WAY_BACK) == 1);
            CHECK(comes_from(answer) == vip);
            end(open, by_client);
        }
        CHECK(goes_to(other) == "10.0.2.11");
        CHECK(goes_to(other) == "10.0.2.11"); // sent again
        establish(other);
        CHECK(comes_from(answer) == other_vip);
        // What the first one's ports do now is no matter of the second.
        run(build(open));
        CHECK(left(stage_at, ELB_DROP_WAY_BACK) == 1);
        CHECK(comes_from(answer) == other_vip);
        end(other, true);
        end(other, false);
        establish(open);
        CHECK(comes_from(answer) == vip);
    }
    CHECK(established() == 2);
}

TEST_CASE_METHOD(Connected, "UDP of one client to services that share backends goes to two of them")
{
    configure({service(vip, 53, "udp", servers(2)), service(other_vip, 53, "udp", servers(2))});
    for (unsigned port = 1; port <= 50; ++port) {
        Frame query = to_vip(client, port, IPPROTO_UDP);
        query.dport = 53;
        const std::string at = establish(query);
        const Frame other = to_other(query);
        const Ran r = run(build(other));
        if (left(stage_at, ELB_DROP_WAY_BACK))
            continue; // all slots tried had the one that is taken
        const std::string other_at = address_of(r.seen.flow.daddr);
        CHECK(other_at != at);
        CHECK(comes_from(answer_to(other, other_at, 8080)) == other_vip);
        CHECK(comes_from(answer_to(query, at, 8080)) == vip);
    }
    CHECK(shown(0)["connections"].get<int>() + shown(1)["connections"].get<int>() == 50);
}

TEST_CASE_METHOD(Connected, "a backend that others share from now on finishes what it has begun")
{
    const json one = service(vip, 80, "tcp", servers(1));
    const json two = service(other_vip, 80, "tcp", servers(1));
    const Frame answer = answer_to(to_vip(client, 4000), "10.0.2.11", 8080, syn | ack);
    configure({one});
    run(build(to_vip(client, 4000)));
    configure({one, two});
    CHECK(comes_from(answer) == vip);
    establish(to_vip(client, 4000));
    // Also where the other service is the first.
    configure({one});
    run(build(to_vip(client, 4001)));
    configure({two, one});
    establish(to_vip(client, 4001)); // with the SYN sent again
    CHECK(comes_from(answer_to(to_vip(client, 4001), "10.0.2.11", 8080)) == vip);
    CHECK(established() == 2);
}

TEST_CASE_METHOD(Connected,
                 "what no backend answers is placed anew, what one has answered not for long")
{
    using std::chrono::seconds;
    elb::Timeouts timeouts;
    const json gone = backend("10.0.2.11", 8080), left_over = backend("10.0.2.12", 8080);
    const auto with = [&](const json &b) {
        configure({service(vip, 80, "tcp", {b}), service(vip, 80, "udp", {b})});
    };
    with(gone);
    elb::Connections connections = must(elb::Connections::bind(maps));
    const auto begin = std::chrono::steady_clock::now();
    must(connections.tick(begin, timeouts));
    for (const std::uint8_t proto : {IPPROTO_TCP, IPPROTO_UDP}) {
        const Frame silent = to_vip(client, 1, proto), answered = to_vip(client, 2, proto);
        with(gone);
        run(build(silent));
        run(build(answered));
        run(build(answer_to(answered, "10.0.2.11", 8080, syn | ack)));
        if (proto == IPPROTO_TCP) { // the time is that of the answer
            must(connections.tick(begin + seconds(200), timeouts));
            run(build(answer_to(answered, "10.0.2.11", 8080, syn | ack)));
        }
        with(left_over);
        CHECK(goes_to(silent) == "10.0.2.12");
        CHECK(goes_to(answered) == "10.0.2.11");
    }
    CHECK(established() == 1); // the UDP
    must(connections.tick(begin + seconds(440), timeouts));
    CHECK(goes_to(to_vip(client, 2)) == "10.0.2.11");
    must(connections.tick(begin + seconds(441), timeouts));
    CHECK(goes_to(to_vip(client, 2)) == "10.0.2.12");
    with(gone);
    const Frame once = to_vip(client, 3, IPPROTO_UDP);
    run(build(once));
    run(build(answer_to(once, "10.0.2.11", 8080)));
    with(left_over);
    must(connections.tick(begin + seconds(741), timeouts));
    CHECK(goes_to(once) == "10.0.2.12");
    CHECK(established() == 0);
    // What has lost its place in a full table is still said to whom it was.
    with(gone);
    const Frame data = to_vip(client, 4, IPPROTO_TCP, ack);
    run(build(data));
    run(build(answer_to(data, "10.0.2.11", 8080)));
    with(left_over);
    must(connections.tick(begin + seconds(1100), timeouts));
    CHECK(goes_to(data) == "10.0.2.11");
}

TEST_CASE_METHOD(Connected, "a backend that answers too late is none of the connection's any more")
{
    configure({service(vip, 80, "tcp", servers(1))});
    const Frame open = to_vip(client, 4000);
    run(build(open));
    configure({service(vip, 80, "tcp", {backend("10.0.2.12", 8080)})});
    CHECK(goes_to(open) == "10.0.2.12");
    CHECK(comes_from(answer_to(open, "10.0.2.11", 8080, syn | ack)) == "10.0.2.11");
    CHECK(establish(open) == "10.0.2.12");
}

TEST_CASE_METHOD(Connected, "time passes once, however many generations tick")
{
    using std::chrono::seconds;
    configure({service(vip, 80, "tcp", servers(1))});
    elb::Connections first = must(elb::Connections::bind(maps));
    elb::Connections second = must(elb::Connections::bind(maps));
    const auto clock = [&] { return must(bpf::Map<__u32, __u32>::bind(maps, "elb_clock")).get(0); };
    const auto begin = std::chrono::steady_clock::now();
    must(first.tick(begin, {}));
    for (int s = 10; s <= 100; ++s) {
        must(first.tick(begin + seconds(s), {}));
        must(second.tick(begin + seconds(s), {}));
        CHECK(clock() == s);
    }
    // Without any daemon it stands still.
    elb::Connections later = must(elb::Connections::bind(maps));
    must(later.tick(begin + seconds(5000), {}));
    CHECK(clock() == 100);
    must(later.tick(begin + seconds(5001), {}));
    CHECK(clock() == 101);
}

TEST_CASE_METHOD(Connected, "a RST that its side did not send ends nothing")
{
    for (const bool of_client : {true, false}) {
        configure({service(vip, 80, "tcp", servers(1))});
        const Frame open = to_vip(client, of_client ? 1 : 2);
        establish(open);
        Frame data = open;
        data.tcp_flags = ack;
        const Frame answer = answer_to(open, "10.0.2.11", 8080);
        Frame forged = of_client ? data : answer;
        forged.tcp_flags = rst;
        run(build(forged));
        run(build(of_client ? data : answer));
        configure({service(vip, 80, "tcp", {backend("10.0.2.12", 8080)})});
        CHECK(goes_to(open) == "10.0.2.11");
        CHECK(goes_to(data) == "10.0.2.11");
    }
}

TEST_CASE_METHOD(Connected, "how long an opening connection keeps its backend can be set")
{
    using std::chrono::seconds;
    const auto with = [&](const json &b) {
        const json wanted{{"connections", 4096},
                          {"timeouts", {{"opening", 5}}},
                          {"service", {service(vip, 80, "tcp", {b})}}};
        section = must(find_vnf("elb")->check(wanted, section));
        must(fast_path->apply(section));
    };
    const json gone = backend("10.0.2.11", 8080), left_over = backend("10.0.2.12", 8080);
    configure({service(vip, 80, "tcp", {gone})});
    with(gone);
    elb::Connections connections = must(elb::Connections::bind(maps));
    const auto begin = std::chrono::steady_clock::now();
    must(connections.tick(begin, elb::Timeouts()));
    const Frame open = to_vip(client, 1);
    run(build(open));
    run(build(answer_to(open, "10.0.2.11", 8080, syn | ack)));
    with(left_over);
    must(connections.tick(begin + seconds(5), elb::Timeouts()));
    CHECK(goes_to(open) == "10.0.2.11");
    must(connections.tick(begin + seconds(6), elb::Timeouts()));
    CHECK(goes_to(open) == "10.0.2.12");
}

TEST_CASE_METHOD(Connected, "a change that breaks off leaves the services before as they were")
{
    const json mine = service(vip, 80, "tcp", servers(1));
    configure({mine});
    establish(to_vip(client, 4000));
    const json wanted{{"connections", 4096},
                      {"service", {service(other_vip, 80, "tcp", servers(1))}}};
    const json other = must(find_vnf("elb")->check(wanted, section));
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    {
        const Fd next(::open("/dev/null", O_RDONLY | O_CLOEXEC)); // the lowest that is free
        const rlimit none{static_cast<rlim_t>(next.get()), before.rlim_max};
        REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
        const auto r = fast_path->apply(other); // no room for its slots
        REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
        REQUIRE_FALSE(r);
        CHECK(r.error().message() ==
              "service tcp 192.0.2.20:80: make room for the slots: Too many open files");
    }
    CHECK(shown()["connections"] == 1);
    CHECK(goes_to(to_other(to_vip(client, 4001))) == other_vip);
    CHECK(establish(to_vip(client, 4001)) == "10.0.2.11");
    CHECK(comes_from(answer_to(to_vip(client, 4001), "10.0.2.11", 8080)) == vip);
    fast_path->tick();
    CHECK(establish(to_vip(client, 4002)) == "10.0.2.11");
}
