// SPDX-License-Identifier: GPL-2.0-or-later
#include <catch2/catch.hpp>

#include "vnfs/elb/section.hpp"

using namespace evnf;
using namespace evnf::elb;

TEST_CASE("direct server return needs backends on networks of this host, at ports of chains")
{
    const auto service = [](unsigned port, const std::string &forward, const json &backends) {
        return json{{"address", "192.0.2.10"},
                    {"port", port},
                    {"protocol", "tcp"},
                    {"forward", forward},
                    {"backends", backends}};
    };
    const json given{
        {"service",
         {service(81, "nat", json::array({{{"address", "10.0.9.1"}}})),
          service(80, "direct",
                  json::array({{{"address", "10.0.1.1"}}, {{"address", "10.0.2.1"}}}))}}};
    const json checked = *check_section(given, nullptr);
    RouteAnswer answer{.kind = RouteAnswer::Kind::unicast, .ifindex = 2};
    Surroundings here{.route_to = [&](const Address &a) -> Result<RouteAnswer> {
                          if (a.text() == "10.0.2.1")
                              return answer;
                          return RouteAnswer{.kind = RouteAnswer::Kind::unicast, .ifindex = 1};
                      },
                      .links = {{1, "eth1"}, {2, "eth2"}},
                      .ports = std::set<std::string>{"eth0", "eth1", "eth2"}};
    const auto found = [&] {
        std::string out;
        for (const auto &one : find_vnf("elb")->misfits(checked, here))
            out += one.where + (one.may_pass ? " may pass: " : ": ") + one.text + "\n";
        return out;
    };
    const std::string who = "backend 10.0.2.1 of service tcp 192.0.2.10:80 ";
    CHECK(found().empty());
    here.ports = std::set<std::string>{"eth0", "eth1"};
    CHECK(found() == "/service/1/backends/1/address: " + who +
                         "is at eth2, which no chain has, and forward = \"direct\" sends only by "
                         "those that one has: add a chain for it, such as path = \"in(eth2) -> "
                         "out\"\n");
    here.ports.reset(); // the instance is in no chain
    CHECK(found().empty());
    answer.gateway = *Address::parse("10.0.1.254");
    CHECK(found().starts_with("/service/1/backends/1/address: " + who +
                              "is behind the router 10.0.1.254, and"));
    answer = {.kind = RouteAnswer::Kind::other};
    CHECK(found().starts_with("/service/1/backends/1/address: " + who +
                              "is not on a network of this host, and"));
    here.route_to = [](const Address &) { return Error{.code = ENETUNREACH, .what = "no route"}; };
    CHECK(found().starts_with("/service/1/backends/0/address may pass: backend 10.0.1.1 of service "
                              "tcp 192.0.2.10:80 has no route now, so it gets nothing: no route"));
}
