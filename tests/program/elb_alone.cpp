// SPDX-License-Identifier: GPL-2.0-or-later
// Which services are alone with their backends, and what becomes of those whose backends have
// connections of services that have gone.
#include <catch2/catch.hpp>

#include "support/elb_connected.hpp"
#include "vnfs/elb/leftovers.hpp"
#include "vnfs/elb/section.hpp"

using namespace evnf;
using namespace evnf::test;
using namespace std::chrono_literals;

namespace
{

const std::string other_vip = "192.0.2.20";

elb::Service checked(const json &service)
{
    const json section =
        must(find_vnf("elb")->check({{"connections", 4096}, {"service", {service}}}, nullptr));
    return elb::services_of(section).at(0);
}

class Alone : public Connected
{
public:
    // Of the services in force, by the map that the fast path reads.
    bool alone(const std::string &address, unsigned port = 80)
    {
        auto map = must(bpf::Map<elb_service_key, elb_service>::bind(maps, "elb_services"));
        const auto found = map.get({must(Address::parse(address)).raw(),
                                    htons(static_cast<std::uint16_t>(port)), IPPROTO_TCP, 4});
        REQUIRE(found);
        return found->alone;
    }
    void clear_conns()
    {
        auto map = must(bpf::Map<flow_key, elb_conn>::bind(maps, "elb_conns"));
        for (const auto &key : map.keys())
            map.erase(key);
    }
    void clear_openings()
    {
        auto map = must(elb::OpeningSets::bind(maps, "elb_openings"));
        for (__u32 set = 0; set < must(bpf::entries_of(map.fd())); ++set)
            must(map.put(set, elb_opening_set{}));
    }
    // Until nothing more comes of it; gives whether a host is suspected no more.
    static bool pass(elb::Leftovers &leftovers, const std::vector<elb::Service> &services,
                     elb::Leftovers::Time now)
    {
        bool fewer = false;
        for (int i = 0; i < 100; ++i)
            fewer |= must(leftovers.tick(services, now));
        return fewer;
    }
};

} // namespace

TEST_CASE_METHOD(Alone, "a service is alone unless another has the same ports of a backend")
{
    const auto keeps = [](const json &port, const std::string &address) {
        return json{{"address", other_vip},
                    {"port", port},
                    {"protocol", "tcp"},
                    {"backends", {{{"address", address}}}}};
    };
    const json mine = service(vip, 80, "tcp", servers(2));
    configure({mine});
    CHECK(alone(vip));
    configure({mine, service(other_vip, 80, "tcp", {backend("10.0.2.12", 8081)})});
    CHECK(alone(vip));
    CHECK(alone(other_vip));
    configure({mine, service(other_vip, 80, "tcp", {backend("10.0.2.12", 8080)})});
    CHECK_FALSE(alone(vip));
    CHECK_FALSE(alone(other_vip));
    configure({mine, keeps("8081-9000", "10.0.2.12")});
    CHECK_FALSE(alone(vip)); // a connection of the service before may live on there
    const auto services = [](const std::vector<json> &tables) {
        std::vector<elb::Service> out;
        for (const auto &t : tables)
            out.push_back(checked(t));
        return out;
    };
    auto leftovers = must(elb::Leftovers::bind(maps)); // no connection: nothing is suspected
    const auto names = [&](const json &other) {
        return elb::alone(services({mine, other}), leftovers);
    };
    CHECK(names(keeps("8081-9000", "10.0.2.12")).size() == 2);
    CHECK(names(keeps("8000-9000", "10.0.2.12")).empty());
    CHECK(names(keeps("all", "10.0.2.11")).empty());
    CHECK(names(keeps(8080, "10.0.2.11")).empty());
    CHECK(names(keeps("all", "10.0.2.13")).size() == 2);
    CHECK(names(service(vip, 80, "udp", servers(2))).size() == 2);
    // Two ports of one service from the same port of a backend.
    CHECK(names(service(other_vip, 80, "tcp", {backend("10.0.2.13", 8080)})).size() == 2);
    json two = service(other_vip, 80, "tcp", {backend("10.0.2.13", 8080)});
    two["port"] = "80,81";
    CHECK(names(two).size() == 1);
}

TEST_CASE_METHOD(Alone, "a way back is taken also by a connection of a service that has gone")
{
    const json mine = service(vip, 80, "tcp", servers(1));
    configure({mine, service(other_vip, 80, "tcp", servers(1))});
    Frame open = to_vip(client, 4000);
    open.dst = other_vip;
    establish(open);
    configure({mine});
    CHECK_FALSE(alone(vip));
    const Frame again = to_vip(client, 4000);
    run(build(again));
    CHECK(left(stage_at, ELB_DROP_WAY_BACK) == 1);
    CHECK(comes_from(answer_to(open, "10.0.2.11", 8080)) == other_vip);
    CHECK(goes_to(to_vip(client, 4001)) == "10.0.2.11");
}

TEST_CASE_METHOD(Alone, "a host is suspected until no connection of before is found")
{
    const json mine = service(vip, 80, "tcp", servers(1));
    const json other = service(other_vip, 80, "tcp", {backend("10.0.2.12", 8080)});
    configure({mine, other});
    const auto both = elb::services_of(section);
    Frame open = to_vip(client, 4000);
    open.dst = other_vip;
    for (const bool opening : {true, false}) {
        if (opening)
            goes_to(open);
        else
            establish(open);
        configure({mine});
        const auto left = elb::services_of(section);
        auto leftovers = must(elb::Leftovers::bind(maps));
        const auto host = must(Address::parse("10.0.2.12")),
                   living = left[0].backends[0].endpoint.address;
        const auto now = std::chrono::steady_clock::now();
        // Of connections that were there before, nobody knows whose they are.
        CHECK(leftovers.at(living));
        CHECK(leftovers.at(host));
        leftovers.gone(both, left, now);
        CHECK_FALSE(pass(leftovers, left, now + 1s));
        CHECK(leftovers.at(living)); // too early: packets may be under way
        CHECK(pass(leftovers, left, now + 1min));
        CHECK_FALSE(leftovers.at(living));
        CHECK(leftovers.at(host));
        CHECK_FALSE(pass(leftovers, left, now + 2min));
        CHECK(leftovers.at(host));
        // Nor if its id is another's by now.
        auto heirs = left;
        heirs[0].backends[0].id = both[1].backends[0].id;
        leftovers.gone(both, heirs, now);
        pass(leftovers, heirs, now + 2min);
        CHECK(leftovers.at(host));
        if (opening)
            clear_openings();
        else
            clear_conns();
        pass(leftovers, left, now + 3min);
        pass(leftovers, left, now + 4min);
        CHECK_FALSE(leftovers.at(host));
        configure({mine, other});
    }
}
