// SPDX-License-Identifier: GPL-2.0-or-later
#include <catch2/catch.hpp>

#include "vnfs/elb/section.hpp"

using namespace evnf;
using namespace evnf::elb;

namespace
{

json backend(const std::string &address, unsigned weight = 1)
{
    return {{"address", address}, {"port", 80}, {"weight", weight}};
}

json section(const std::vector<json> &backends, const std::string &address = "192.0.2.10")
{
    json service{{"address", address}, {"port", 80}, {"protocol", "tcp"}, {"backends", backends}};
    return {{"service", std::vector<json>{service}}};
}

std::string refusal(const json &j)
{
    const auto r = check_section(j, nullptr);
    return r ? "accepted" : r.error().where + ": " + r.error().what;
}

const Route &route(const std::string &method, const std::string &part)
{
    static const auto routes = section_routes();
    for (const auto &r : routes)
        if (r.method == method && r.pattern.ends_with(part))
            return r;
    FAIL("no route");
    return routes[0];
}

const std::vector<std::string> words{"tcp", "192.0.2.10:80", "10.0.0.1:80"};

} // namespace

TEST_CASE("a section that is wrong is refused at the place")
{
    CHECK(refusal(section({backend("10.0.0.1"), backend("10.0.0.1")})) ==
          "/service/0/backends/1: backend 10.0.0.1:80 stands twice");
    CHECK(
        refusal(section({backend("2001:db8::1")})).starts_with("/service/0/backends/0/address: "));
    CHECK(refusal(section({backend("10.0.0.1", 1001)})) ==
          "/service/0/backends/0/weight: weight is a number from 0 to 1000");
    CHECK(refusal(section({backend("192.0.2.10")})).starts_with("/service/0/backends/0: "));
    CHECK(refusal(section({}, "10.0.0")).starts_with("/service/0/address: '10.0.0' is not"));
    CHECK(refusal({{"conections", 5}}) == "/conections: 'conections' is not a key of elb");
    CHECK(refusal({{"connections", 5}}).starts_with("/connections: "));
    CHECK(refusal(json::array()) == ": elb is a table");
    json icmp = section({});
    icmp["service"][0]["protocol"] = "icmp";
    CHECK(refusal(icmp) == "/service/0/protocol: 'icmp' cannot be balanced: tcp, udp or sctp");
}

TEST_CASE("what is asked of backends stays as it was given, at each level")
{
    json j = section({backend("10.0.0.1"), backend("10.0.0.2")});
    j["health"] = {{"type", "http"}, {"interval", 5}, {"panic", 40}};
    j["feedback"] = {{"indices", {{{"preset", "cpu"}}}}};
    j["service"][0]["health"] = {{"path", "/ready"}};
    j["service"][0]["backends"][1]["backup"] = true;
    j["service"][0]["backends"][1]["health"] = {{"type", "none"}};
    j["service"][0]["backends"][1]["feedback"] = {{"gain", 1}};
    const json checked = *check_section(j, nullptr);
    CHECK(*check_section(checked, checked) == checked);
    const auto watched = watched_of(checked);
    CHECK(watched[0].name == "tcp 192.0.2.10:80");
    CHECK(watched[0].panic == 40);
    CHECK(watched[0].backends[0].health.path == "/ready");
    CHECK(watched[0].backends[0].health.interval == 5);
    CHECK_FALSE(watched[0].backends[0].backup);
    CHECK(watched[0].backends[1].backup);
    CHECK(watched[0].backends[1].health.type == HealthSettings::Type::none);
    CHECK(watched[0].backends[1].feedback.gain == 1);
    CHECK(watched[0].backends[1].feedback.indices.size() == 1);
    CHECK(
        diff_sections(*check_section(section({backend("10.0.0.1"), backend("10.0.0.2")}), nullptr),
                      checked) ==
        std::vector<std::string>{
            R"(+ elb health {"interval":5,"panic":40,"type":"http"})",
            R"(+ elb feedback {"indices":[{"preset":"cpu"}]})",
            R"(+ elb backend tcp 192.0.2.10:80 10.0.0.2:80 health {"type":"none"})",
            R"(+ elb backend tcp 192.0.2.10:80 10.0.0.2:80 feedback {"gain":1})",
            R"(+ elb backend tcp 192.0.2.10:80 10.0.0.2:80 backup true)",
            R"(+ elb service tcp 192.0.2.10:80 health {"path":"/ready"})"});

    auto wrong = [&](const std::string &pointer, const json &value) {
        json changed = j;
        changed[json::json_pointer(pointer)] = value;
        return refusal(changed);
    };
    CHECK(wrong("/health/fall", 0).starts_with("/health/fall: "));
    CHECK(wrong("/service/0/health/fall", 0).starts_with("/service/0/health/fall: "));
    CHECK(wrong("/service/0/backends/1/health/panic", 5)
              .starts_with("/service/0/backends/1/health/panic: "));
    CHECK(wrong("/service/0/backends/0/feedback", json{{"hold", -1}})
              .starts_with("/service/0/backends/0/feedback/hold: "));
    CHECK(wrong("/service/0/backends/1/backup", 1) ==
          "/service/0/backends/1/backup: backup is true or false");
    CHECK(wrong("/service/0/health/type", "script") ==
          "/service/0/backends/0: a check by script needs a command");
}

TEST_CASE("a backend keeps its id while it stays; an id is not soon given again")
{
    const json first = *check_section(section({backend("10.0.0.1"), backend("10.0.0.2")}), nullptr);
    CHECK(services_of(first)[0].backends[1].id == 1);
    const json second = *check_section(section({backend("10.0.0.2", 5)}), first);
    CHECK(services_of(second)[0].backends[0].id == 1);
    const json third = *check_section(section({backend("10.0.0.1"), backend("10.0.0.2")}), second);
    CHECK(services_of(third)[0].backends[0].id == 2); // 0 may still count old connections
    CHECK(services_of(third)[0].backends[1].id == 1);
    CHECK(*check_section(third, third) == third);
}

TEST_CASE("verbs make a new section, or say why not")
{
    const json start = *check_section(section({backend("10.0.0.1")}), nullptr);
    auto after = [&](const Edit &e) {
        return diff_sections(start, *check_section(e.section, start));
    };

    const auto weight = route("PUT", "([^/]+)").edit(start, {words, {{"weight", 3}}});
    CHECK(after(*weight) ==
          std::vector<std::string>{"~ elb backend tcp 192.0.2.10:80 10.0.0.1:80 weight 1 -> 3"});
    const auto gone = route("DELETE", "backends/([^/]+)").edit(start, {words, nullptr});
    CHECK(after(*gone) == std::vector<std::string>{"- elb backend tcp 192.0.2.10:80 10.0.0.1:80"});
    const auto more = route("POST", "/backends").edit(start, {words, backend("10.0.0.2", 2)});
    CHECK(after(*more) ==
          std::vector<std::string>{"+ elb backend tcp 192.0.2.10:80 10.0.0.2:80 weight 2"});
    CHECK(route("POST", "/backends").edit(start, {words, backend("10.0.0.1")}).error().code ==
          EEXIST);
    const auto empty = route("DELETE", "([a-z]+)/([^/]+)").edit(start, {words, nullptr});
    CHECK(after(*empty) == std::vector<std::string>{"- elb service tcp 192.0.2.10:80"});
    CHECK(route("PUT", "([^/]+)")
              .edit(start, {{"tcp", "192.0.2.10:80", "10.0.0.9:80"}, {{"weight", 3}}})
              .error()
              .code == ENOENT);
    CHECK(route("PUT", "([^/]+)")
              .edit(start, {{"udp", "192.0.2.10:80", "10.0.0.1:80"}, {{"weight", 3}}})
              .error()
              .code == ENOENT);
    const json other{{"address", "192.0.2.20"}, {"port", 53}, {"protocol", "udp"}};
    const auto added = route("POST", "/services").edit(start, {{}, other});
    CHECK(after(*added) == std::vector<std::string>{"+ elb service udp 192.0.2.20:53"});
}

TEST_CASE("a service has a port, some, ranges, or all")
{
    const auto with = [](const json &port, const json &backend_port = nullptr) {
        json b{{"address", "10.0.0.1"}};
        if (!backend_port.is_null())
            b["port"] = backend_port;
        return json{{"service",
                     {{{"address", "192.0.2.10"},
                       {"port", port},
                       {"protocol", "tcp"},
                       {"backends", {b}}}}}};
    };
    const auto shown = [&](const json &port) {
        const auto checked = check_section(with(port), nullptr);
        REQUIRE(checked);
        // What is shown is what can be given again.
        CHECK(*check_section(*checked, *checked) == *checked);
        return (*checked)["service"][0]["port"];
    };
    CHECK(shown(80) == 80);
    CHECK(shown("80") == 80);
    CHECK(shown(json::array({80})) == 80);
    CHECK(shown("8000-8999") == "8000-8999");
    CHECK(shown("443,80,8000-8999") == "80,443,8000-8999");
    CHECK(shown(json::array({"8000-8999", 443, "80"})) == "80,443,8000-8999");
    CHECK(shown("all") == "all");
    CHECK(shown("*") == "all");
    // A backend without a port has that of the service, if it is one.
    CHECK((*check_section(with(80), nullptr))["service"][0]["backends"][0]["port"] == 80);
    CHECK(!(*check_section(with("80,81"), nullptr))["service"][0]["backends"][0].contains("port"));
    CHECK((*check_section(with("80,81", 82), nullptr))["service"][0]["backends"][0]["port"] == 82);

    CHECK(refusal(with("8000-7999")) == "/service/0/port: '8000-7999' ends before it begins");
    CHECK(refusal(with("80,70-90")) == "/service/0/port: the ports 70-90 and 80 overlap");
    CHECK(refusal(with("80,")) == "/service/0/port: '' is not a port from 1 to 65535");
    CHECK(refusal(with(0)) == "/service/0/port: '0' is not a port from 1 to 65535");
    CHECK(refusal(with(json::array({"all", 80}))) ==
          "/service/0/port: all ports are more than a part of a list");
    CHECK(refusal(with(true)).starts_with("/service/0/port: port is a number, a range such as"));
    CHECK(refusal(with(json::array())) ==
          "/service/0/port: a service has 1 to 64 ports and ranges, or all");
    json checked = with("8000-8999");
    checked["service"][0]["health"] = {{"type", "tcp"}};
    CHECK(refusal(checked) == "/service/0/backends/0: backend 10.0.0.1 has no port of its own: say "
                              "which one to check, health = { port = … }");
    checked["service"][0]["health"]["port"] = 8000;
    CHECK(refusal(checked) == "accepted");
}

TEST_CASE("a service says how it chooses")
{
    const auto with = [](const json &choice, const std::string &address = "192.0.2.10") {
        json s = section({}, address);
        s["service"][0].update(choice);
        return s;
    };
    const auto choice = [&](const json &c, const std::string &address = "192.0.2.10") {
        return services_of(*check_section(with(c, address), nullptr))[0].choice;
    };
    CHECK(choice(json::object()) == Choice());
    CHECK(choice({{"balance", "weights"}, {"affinity", "none"}}) == Choice());
    CHECK(choice({{"balance", "least_connections"}}).least_connections);
    CHECK(choice({{"affinity", "source"}}) == Choice{false, true, 32, 300});
    CHECK(choice({{"affinity", "source"}}, "2001:db8::1").prefix == 128);
    CHECK(choice({{"affinity", "source"}, {"affinity_prefix", 24}, {"affinity_timeout", 9}}) ==
          Choice{false, true, 24, 9});
    CHECK(refusal(with({{"balance", "roundrobin"}})) ==
          "/service/0/balance: 'roundrobin' is not a balance: weights or least_connections");
    CHECK(refusal(with({{"affinity", "cookie"}})) ==
          "/service/0/affinity: 'cookie' is not an affinity: none or source");
    CHECK(refusal(with({{"affinity", "source"}, {"affinity_prefix", 33}})) ==
          "/service/0/affinity_prefix: affinity_prefix is a number from 1 to 32");
    CHECK(refusal(with({{"affinity", "source"}, {"affinity_timeout", 0}}))
              .starts_with("/service/0/affinity_timeout: "));
    CHECK(refusal(with({{"affinity_timeout", 5}})) ==
          "/service/0/affinity_timeout: affinity_timeout is of affinity = \"source\", which is not "
          "set");

    json now = *check_section(section({backend("10.0.0.1")}), nullptr);
    const auto set = [&](const json &body) {
        const auto r = route("PUT", "/([a-z]+)/([^/]+)").edit(now, {.words = words, .body = body});
        if (r)
            now = *check_section(r->section, now);
        return r ? r->reply : json(r.error().message());
    };
    const json start = now;
    CHECK(set({{"affinity", "source"}, {"affinity_timeout", 60}}) ==
          json{{"service", "tcp 192.0.2.10:80"}, {"affinity", "source"}, {"affinity_timeout", 60}});
    CHECK(diff_sections(start, now) ==
          std::vector<std::string>{"+ elb service tcp 192.0.2.10:80 affinity \"source\"",
                                   "+ elb service tcp 192.0.2.10:80 affinity_timeout 60"});
    CHECK(set({{"affinity", nullptr}}).is_string());
    CHECK(set({{"weight", 1}}).is_string());
    CHECK(set(7).is_string());
    set({{"affinity", nullptr}, {"affinity_timeout", nullptr}});
    CHECK(now == start);
}

TEST_CASE("services of one address share no port at the same rank")
{
    const auto both = [](const json &a, const json &b, const std::string &protocol = "tcp") {
        const json s{{"address", "192.0.2.10"}, {"protocol", "tcp"}};
        json first = s, second = s;
        first["port"] = a;
        second["port"] = b;
        second["protocol"] = protocol;
        return refusal({{"service", {first, second}}});
    };
    CHECK(both(80, "70-90") == "accepted");
    CHECK(both("all", "70-90") == "accepted");
    CHECK(both("1-65535", "all") == "accepted");
    CHECK(both("70-90", "80-99", "udp") == "accepted");
    CHECK(both("70-90", "91-99") == "accepted");
    CHECK(both("70-90", "90-99") ==
          "/service/1/port: port 90-99 of service tcp 192.0.2.10:90-99 is one of service tcp "
          "192.0.2.10:70-90 too: a port may be in one range, and by itself in another service, "
          "which goes before");
    CHECK(both(80, "80,443").starts_with("/service/1/port: port 80 of service"));
    CHECK(both("all", "*").starts_with("/service/1"));
}

TEST_CASE("verbs name services of many ports, and backends without one")
{
    json running = *check_section(json{{"service", json::array()}}, nullptr);
    const auto edit = [&](const std::string &method, const std::string &part,
                          const std::vector<std::string> &of, const json &body) {
        const auto r = route(method, part).edit(running, {.words = of, .body = body});
        REQUIRE(r);
        running = *check_section(r->section, running);
        return r->reply;
    };
    const std::vector<std::string> range{"udp", "192.0.2.10:8000-8999"};
    edit("POST", "/services", {},
         {{"address", "192.0.2.10"}, {"port", "8000-8999"}, {"protocol", "udp"}});
    CHECK(edit("POST", "/backends", range, {{"address", "10.0.0.1"}})["backend"] == "10.0.0.1");
    CHECK(edit("PUT", "([^/]+)", {range[0], range[1], "10.0.0.1"}, {{"weight", 3}})["service"] ==
          "udp 192.0.2.10:8000-8999");
    edit("DELETE", "/backends/([^/]+)", {range[0], range[1], "10.0.0.1"}, {});
    CHECK(running["service"][0]["backends"].empty());
}

TEST_CASE("several services are put in force at once, in the place of those of their names")
{
    const json start = *check_section(section({backend("10.0.0.1"), backend("10.0.0.2")}), nullptr);
    const auto put = [&](const json &services) {
        return route("PUT", "/services").edit(start, {{}, {{"services", services}}});
    };
    const json same = section({backend("10.0.0.1"), backend("10.0.0.2")})["service"][0];
    const json changed = section({backend("10.0.0.2"), backend("10.0.0.3")})["service"][0];
    const json other = section({backend("10.0.0.1")}, "192.0.2.20")["service"][0];

    const auto nothing = put(json::array({same}));
    CHECK(nothing->reply == json::parse(R"({"added": [], "changed": [], "kept": 1})"));
    CHECK(*check_section(nothing->section, start) == start);
    const auto both = put(json::array({other, changed}));
    CHECK(both->reply ==
          json::parse(R"({"added": ["tcp 192.0.2.20:80"], "changed": ["tcp 192.0.2.10:80"],
                          "kept": 0})"));
    const json next = *check_section(both->section, start);
    CHECK(next["service"].size() == 2);
    CHECK(next["service"][0]["backends"][0]["id"] == start["service"][0]["backends"][1]["id"]);

    json bad = other;
    bad["health"] = {{"fall", 0}};
    CHECK(put(json::array({same, bad})).error().where == "/services/1/health/fall");
    CHECK(put(json::array({same, same})).error().where == "/services/1");
    CHECK(put(7).error().where == "/services");
    CHECK_FALSE(route("PUT", "/services").edit(start, {{}, json::object()}));
    CHECK_FALSE(route("PUT", "/services").edit(start, {{}, 7}));
}

TEST_CASE("settings change key by key at each level")
{
    const json start = *check_section(section({backend("10.0.0.1")}), nullptr);
    json now = start;
    const auto set = [&](const json &body) {
        auto r = route("PUT", "/settings").edit(now, {{}, body});
        if (r)
            now = *check_section(r->section, now);
        return r;
    };
    const std::string name = "tcp 192.0.2.10:80";
    CHECK(set({{"health", {{"fall", 5}, {"rise", 1}}}}));
    CHECK(now["health"] == json{{"fall", 5}, {"rise", 1}});
    CHECK(set({{"health", {{"fall", nullptr}}}})->reply["health"] == json{{"rise", 1}});
    CHECK(set({{"service", name}, {"health", {{"type", "tcp"}}}}));
    CHECK(set({{"service", name}, {"backend", "10.0.0.1:80"}, {"feedback", {{"interval", 9}}}}));
    CHECK(now["service"][0]["health"] == json{{"type", "tcp"}});
    CHECK(now["service"][0]["backends"][0]["feedback"] == json{{"interval", 9}});
    for (const json &body :
         {json{{"health", nullptr}}, json{{"service", name}, {"health", nullptr}},
          json{{"service", name}, {"backend", "10.0.0.1:80"}, {"feedback", nullptr}}})
        CHECK(set(body));
    CHECK(now == start);
    CHECK(set({{"service", "tcp 192.0.2.11:80"}, {"health", nullptr}}).error().code == ENOENT);
    CHECK(set({{"service", name}, {"backend", "10.0.0.2:80"}}).error().code == ENOENT);
    CHECK(set({{"backend", "10.0.0.1:80"}}).error().where == "/backend");
    CHECK(set({{"health", 7}}).error().where == "/health");
    CHECK(set({{"service", 7}}).error().where == "/service");
    CHECK_FALSE(set(7));
}

TEST_CASE("source NAT needs sources that can be such")
{
    json j = section({backend("10.0.0.1")});
    json &service = j["service"][0];
    service["forward"] = "source_nat";
    const auto with = [&](const json &sources, const json &ports = nullptr) {
        service["sources"] = sources;
        if (ports.is_null())
            service.erase("source_ports");
        else
            service["source_ports"] = ports;
        return refusal(j);
    };
    CHECK(with({"10.0.0.5", "10.0.0.6"}) == "accepted");
    CHECK(with({"10.0.0.5"}, "2000-2000") == "accepted");
    CHECK(with({"10.0.0.5"}, "2000") == "accepted");
    const json checked = *check_section(j, nullptr);
    CHECK(*check_section(checked, checked) == checked);
    CHECK(services_of(checked)[0].forwarding.how == ELB_SOURCE_NAT);
    CHECK(services_of(checked)[0].forwarding.last_port == 2000);
    for (const std::string ports : {"2000-1999", "1023-2000", "1024-65536", "x", "", "2000-"})
        CHECK(with({"10.0.0.5"}, ports) ==
              "/service/0/source_ports: '" + ports +
                  "' are no source_ports: FIRST-LAST, from 1024 to 65535");
    CHECK(with(json::array()) == "/service/0/sources: sources are 1 to 8 addresses");
    CHECK(with({"2001:db8::1"}) == "/service/0/sources/0: source 2001:db8::1 and service "
                                   "192.0.2.10 are not of one IP version");
    CHECK(with({"10.0.0.5", "10.0.0.5"}) == "/service/0/sources/1: source 10.0.0.5 stands twice");
    CHECK(with({"192.0.2.10"}).starts_with("/service/0/sources/0: source 192.0.2.10 is the "));
    CHECK(with({"10.0.0"}).starts_with("/service/0/sources/0: "));
    service["forward"] = "nat";
    CHECK(with({"10.0.0.5"}) ==
          "/service/0/sources: sources are of forward = \"source_nat\" or \"tunnel\"");
    service["forward"] = "nta";
    CHECK(refusal(j) ==
          "/service/0/forward: 'nta' is not a forward: nat, source_nat, tunnel or direct");
    const json plain = *check_section(section({backend("10.0.0.1")}), nullptr);
    CHECK(diff_sections(plain, checked) ==
          std::vector<std::string>{R"(+ elb service tcp 192.0.2.10:80 forward "source_nat")",
                                   R"(+ elb service tcp 192.0.2.10:80 sources ["10.0.0.5"])",
                                   R"(+ elb service tcp 192.0.2.10:80 source_ports "2000")"});
}

TEST_CASE("a tunnel leaves ports as they are")
{
    json j = section({backend("10.0.0.1")});
    json &service = j["service"][0];
    service["forward"] = "tunnel";
    CHECK(refusal(j) == "/service/0/sources: sources are 1 to 8 addresses");
    service["sources"] = {"10.0.0.5"};
    CHECK(refusal(j) == "accepted");
    service["backends"][0]["port"] = 8080;
    CHECK(refusal(j) ==
          "/service/0/backends/0/port: backend 10.0.0.1:8080 gets the packets to tcp 192.0.2.10:80 "
          "as they are: leave its port out, or write forward = \"nat\" for the service");
    service["port"] = "80-90"; // not that either, of many
    service["backends"][0]["port"] = 80;
    CHECK(refusal(j).starts_with("/service/0/backends/0/port: backend 10.0.0.1:80 gets"));
    service["backends"][0].erase("port");
    CHECK(refusal(j) == "accepted");
    service["port"] = 80;
    service["backends"][0]["port"] = 80;
    service["source_ports"] = "2000-3000";
    CHECK(refusal(j) == "/service/0/source_ports: source_ports are of forward = \"source_nat\"");
}

TEST_CASE("direct server return leaves ports as they are, and has no sources")
{
    json j = section({backend("10.0.0.1")});
    json &service = j["service"][0];
    service["forward"] = "direct";
    CHECK(refusal(j) == "accepted");
    CHECK(services_of(*check_section(j, nullptr))[0].forwarding.how == ELB_DIRECT);
    service["backends"][0]["port"] = 80;
    CHECK(refusal(j) == "accepted");
    service["backends"][0]["port"] = 8080;
    CHECK(refusal(j).starts_with("/service/0/backends/0/port: backend 10.0.0.1:8080 gets"));
    service["backends"][0].erase("port");
    service["sources"] = {"10.0.0.5"};
    CHECK(refusal(j) ==
          "/service/0/sources: sources are of forward = \"source_nat\" or \"tunnel\"");
}

TEST_CASE("answers to a source do not look like packets to a service")
{
    json nat = section({backend("10.0.0.1")})["service"][0], other = nat;
    nat["forward"] = "source_nat";
    nat["sources"] = {"10.0.0.5", "10.0.0.6"};
    nat["source_ports"] = "2000-2999";
    other["address"] = "10.0.0.6";
    const auto with = [&](const json &port, const std::string &protocol = "tcp") {
        other["port"] = port;
        other["protocol"] = protocol;
        const std::string one = refusal({{"service", {nat, other}}});
        CHECK((one == "accepted") == (refusal({{"service", {other, nat}}}) == "accepted"));
        return one;
    };
    CHECK(with(80) == "accepted");
    CHECK(with(2000, "udp") == "accepted");
    CHECK(with("80,1000-1999,3000") == "accepted");
    CHECK(with(2000) == "/service/0/sources: source 10.0.0.6 has ports of service tcp "
                        "10.0.0.6:2000 among its source_ports, 2000-2999: give another source, or "
                        "other source_ports");
    CHECK(with("80,2999-3000").starts_with("/service/0/sources: source 10.0.0.6 has"));
    CHECK(with("all").starts_with("/service/0/sources: source 10.0.0.6 has"));
    nat["protocol"] = "sctp";
    CHECK(refusal({{"service", {nat}}}).starts_with("/service/0/forward: SCTP's checksum covers"));
}
