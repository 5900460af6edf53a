// SPDX-License-Identifier: GPL-2.0-or-later
// Configurations of HAProxy, read: what becomes a service, and what is said of the rest.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <fstream>
#include <random>

#include "vnfs/elb/haproxy/import.hpp"
#include "vnfs/elb/section.hpp"

using namespace evnf;
using namespace evnf::elb;
using haproxy::Finding;

namespace
{

std::string file(const std::string &name)
{
    std::ifstream in(std::string(TESTS_DATA) + "/haproxy/" + name);
    REQUIRE(in);
    return {std::istreambuf_iterator<char>(in), {}};
}

haproxy::Import imported(const std::string &text, const std::vector<std::string> &addresses = {},
                         bool unlimited = false)
{
    haproxy::ImportOptions options{.unlimited = unlimited};
    for (const auto &a : addresses)
        options.addresses.push_back(*Address::parse(a));
    auto r = haproxy::import_services(text, "haproxy.cfg", options);
    INFO((r ? "" : r.error().what));
    REQUIRE(r);
    // What it makes is always good as far as one file can say.
    const auto checked = check_section({{"service", r->services}}, nullptr);
    INFO((checked ? "" : checked.error().where + " " + checked.error().what));
    CHECK(checked);
    CHECK(r->origins.size() == r->services.size());
    return *std::move(r);
}

std::string failure(const std::string &text)
{
    auto r = haproxy::import_services(text, "haproxy.cfg", {});
    REQUIRE_FALSE(r);
    return r.error().what;
}

std::vector<std::string> names(const haproxy::Import &i)
{
    std::vector<std::string> out;
    for (const auto &s : i.services)
        out.push_back(s["address"].get<std::string>() + ":" + s["port"].dump());
    return out;
}

std::vector<std::string> lines(const std::vector<Finding> &findings)
{
    std::vector<std::string> out;
    for (const auto &f : findings)
        out.push_back(std::to_string(f.place.line) + ":" + std::to_string(f.place.column) + " " +
                      f.proxy + ": " + f.what);
    return out;
}

// The one service of a listen with these lines.
json service(const std::string &more)
{
    const auto i = imported("listen x\n bind 192.0.2.1:80\n" + more);
    INFO((i.findings.refused.empty() ? "" : i.findings.refused[0].what));
    REQUIRE(i.services.size() == 1);
    return i.services[0];
}

// Why a listen with these lines stays.
std::string refused(const std::string &more)
{
    const auto i = imported("listen x\n bind 192.0.2.1:80\n" + more);
    CHECK(i.services.empty());
    REQUIRE_FALSE(i.findings.refused.empty());
    return lines(i.findings.refused)[0];
}

const std::string server = " server a 10.0.0.1:80\n";

} // namespace

TEST_CASE("a whole configuration: what is taken, what stays and why")
{
    const auto i = imported(file("mixed.cfg"), {"192.0.2.14"});
    CHECK(names(i) == std::vector<std::string>{"192.0.2.10:25", "192.0.2.11:80", "192.0.2.11:8080",
                                               "192.0.2.11:8081", "192.0.2.14:514"});
    CHECK(lines(i.findings.refused) ==
          std::vector<std::string>{
              "11:5 frontend web: mode http: elb balances connections of TCP as they are",
              "47:36 frontend mail: ssl: elb does not decrypt",
              "68:37 listen sql: maxconn: elb has no limits or queues of its own for a server; "
              "--unlimited leaves them out",
              "69:16 listen sql: 'db2.example.org' is no address; elb asks no name server",
              "67:12 listen sql: mysql-check: elb has no such check; a script can make it",
              "78:5 listen guarded: tcp-request: elb has no rules on connections; efw has some",
              "79:28 listen guarded: send-proxy: elb does not write into connections: the server "
              "already sees the client's address"});
    CHECK(lines(i.findings.different) ==
          std::vector<std::string>{
              "38:5 frontend mail: a connection that a server refuses is not tried with another "
              "one: its checks take it out",
              "39:5 frontend mail: a connection that a server refuses is not tried with another "
              "one: its checks take it out",
              "41:5 frontend mail: a connection that is silent for so long is forgotten, but not "
              "closed",
              "74:5 listen syslog: disabled: its weight is 0, and would be 7"});
    CHECK(i.services[0] == json::parse(R"({"address": "192.0.2.10", "port": 25, "protocol": "tcp",
                          "timeouts": {"tcp_established": 3600}, "backends": [
  {"address": "10.0.11.2", "port": 25, "weight": 3, "health":
      {"type": "tcp", "interval": 3.0, "timeout": 3.0, "rise": 3, "fall": 5}},
  {"address": "10.0.12.2", "port": 25, "weight": 1, "health":
      {"type": "tcp", "interval": 3.0, "timeout": 3.0, "rise": 3, "fall": 5, "slow_start": 30.0}},
  {"address": "10.0.12.3", "port": 25, "weight": 1, "backup": true, "health":
      {"type": "tcp", "interval": 3.0, "timeout": 3.0, "rise": 3, "fall": 5}}]})"));
    CHECK(i.services[4]["backends"][1] ==
          json{{"address", "10.0.12.2"}, {"port", 514}, {"weight", 0}});
    CHECK(i.services[4]["health"] == json{{"type", "none"}});
}

TEST_CASE("a bind to all addresses asks which")
{
    const std::string all = "listen x\n bind *:80\n bind :::81\n server a 10.0.0.1:80\n";
    const auto none = imported(all);
    CHECK(none.services.empty());
    CHECK(none.findings.refused.size() == 2);
    CHECK(none.findings.refused[0].what.find("--address") != std::string::npos);
    const auto i = imported(all, {"192.0.2.1", "192.0.2.2"});
    CHECK(names(i) == std::vector<std::string>{"192.0.2.1:80", "192.0.2.2:80"});
    CHECK(i.findings.refused.size() == 1); // that of IPv6
}

TEST_CASE("databases with a leader, as their cluster manager says it")
{
    const auto left = imported(file("leader.cfg"), {"192.0.2.1"});
    CHECK(left.services.empty());
    CHECK(left.findings.refused.size() == 3);
    const auto i = imported(file("leader.cfg"), {"192.0.2.1"}, true);
    CHECK(names(i) == std::vector<std::string>{"192.0.2.1:5000"});
    CHECK(i.services[0] == json::parse(R"({"address": "192.0.2.1", "port": 5000, "protocol": "tcp",
  "timeouts": {"tcp_established": 1800},
  "health": {"type": "http", "method": "OPTIONS", "path": "/leader", "status": ["200"], "port": 8008,
             "interval": 3.0, "timeout": 3.0, "rise": 2, "fall": 3, "on_down": "reset"},
  "backends": [{"address": "10.0.11.2", "port": 5432, "weight": 1},
               {"address": "10.0.12.2", "port": 5432, "weight": 1},
               {"address": "10.0.13.2", "port": 5432, "weight": 1}]})"));
    CHECK(lines(i.findings.different)[0] ==
          "3:5 listen leader: connections are not limited; [elb] connections bounds those of all "
          "services");
    CHECK(lines(i.findings.different).back() ==
          "21:31 listen leader: maxconn: the server has no limit");
}

TEST_CASE("what counts of defaults")
{
    // The last above, unless another is named; a name begins with nothing but what it is from.
    const std::string text = "defaults one\n mode http\n balance first\n"
                             "defaults two from one\n mode tcp\n no option x\n balance random\n"
                             "listen a\n bind 192.0.2.1:1\n server s 10.0.0.1:1\n"
                             "listen b from one\n bind 192.0.2.1:2\n server s 10.0.0.1:1\n"
                             "defaults\n"
                             "listen c\n bind 192.0.2.1:3\n server s 10.0.0.1:1\n"
                             "listen d from two\n bind 192.0.2.1:4\n balance uri\n"
                             " server s 10.0.0.1:1\n";
    const auto i = imported(text);
    CHECK(names(i) == std::vector<std::string>{"192.0.2.1:1", "192.0.2.1:3"});
    CHECK(lines(i.findings.refused)[0].starts_with("2:2 listen b: mode http"));
    CHECK(lines(i.findings.refused)[1].starts_with("20:2 listen d: balance uri"));
    // What a default-server says, servers after it take back.
    const json s = service(" default-server check inter 1s weight 5 backup\n"
                           " server a 10.0.0.1:80 no-backup\n default-server inter 4s\n"
                           " server b 10.0.0.2:80 weight 2 no-check\n");
    CHECK(s["backends"][0]["weight"] == 5);
    CHECK_FALSE(s["backends"][0].contains("backup"));
    CHECK(s["backends"][0]["health"]["interval"] == 1.0);
    CHECK(s["backends"][1]["weight"] == 2);
    CHECK(s["backends"][1]["backup"] == true);
    CHECK(s["backends"][1]["health"] == json{{"type", "none"}});
    // Rules of a check of the defaults count for who has none of his own.
    const std::string check = "defaults\n option httpchk GET /a\n http-check expect string yes\n"
                              "listen x\n bind 192.0.2.1:80\n server a 10.0.0.1:80 check\n";
    CHECK(imported(check).services[0]["health"]["body"] == "yes");
    CHECK_FALSE(
        imported(check + " http-check send uri /b\n").services[0]["health"].contains("body"));
    CHECK(imported(check + " option tcp-check\n").services[0]["health"]["type"] == "tcp");
    CHECK(imported(check + " no option httpchk\n").services[0]["health"]["type"] == "tcp");
}

TEST_CASE("checks by HTTP")
{
    const std::string one = " server a 10.0.0.1:80 check\n";
    json h = service(" option httpchk\n" + one)["health"];
    CHECK(h["method"] == "OPTIONS");
    CHECK_FALSE(h.contains("path"));
    h = service(" option httpchk /up\n timeout check 300ms\n" + one)["health"];
    CHECK(h["path"] == "/up");
    CHECK(h["timeout"] == 0.3);
    h = service(" option httpchk HEAD /up HTTP/1.1\\r\\nHost:\\ www.test\n" + one)["health"];
    CHECK(h["method"] == "HEAD");
    CHECK(h["host"] == "www.test");
    h = service(
        " option httpchk\n http-check send meth GET uri '/a%20b' ver HTTP/1.1 hdr host w\n"
        " http-check expect rstring ^up\n server a 10.0.0.1:80 check check-ssl verify none\n")
        ["health"];
    CHECK(h["type"] == "https");
    CHECK(h["verify"] == false);
    CHECK(h["body_regex"] == "^up");
    CHECK(h["status"] == "100-599");
    CHECK(service(" option httpchk\n http-check expect status 200,301-302\n" +
                  one)["health"]["status"] == json{"200", "301-302"});
    for (const auto *bad :
         {" option httpchk PUT /\n", " option httpchk\n http-check expect ! status 500\n",
          " option httpchk\n http-check expect rstatus ^2\n",
          " option httpchk\n http-check expect rstring \\\\d+\n",
          " option httpchk\n http-check send hdr X-A b\n",
          " option httpchk\n http-check expect string a\n http-check expect string b\n",
          " option httpchk\n http-check disable-on-404\n", " option redis-check\n",
          " option tcp-check\n tcp-check expect string PONG\n"}) {
        INFO(bad);
        CHECK(refused(bad + one).starts_with(
            std::to_string(2 + std::count(bad, bad + std::strlen(bad), '\n')) + ":"));
    }
    // Nobody asks by what no check option has put in force.
    CHECK(service(" http-check expect string a\n" + one)["health"]["type"] == "tcp");
}

TEST_CASE("servers")
{
    CHECK(service(" server a 10.0.0.1\n")["backends"][0]["port"] == 80);
    CHECK(service(" server a 10.0.0.1:+1000\n")["backends"][0]["port"] == 1080);
    CHECK(service(" server a 10.0.0.1:-1\n")["backends"][0]["port"] == 79);
    CHECK(service(" server a ipv4@10.0.0.1:81 source 0.0.0.0 usesrc clientip check\n")["backends"]
                                                                                      [0]["port"] ==
          81);
    CHECK(
        service(" server a 10.0.0.1:80 agent-check agent-port 9707 agent-inter 5s\n")["backends"][0]
                                                                                     ["feedback"] ==
        json::parse(R"({"interval": 5.0, "indices": [{"tcp": 9707}]})"));
    for (const auto *bad : {"a db:80",
                            "a [fd00::1]:80",
                            "a 127.0.0.1:80",
                            "a 192.0.2.1:80",
                            "a 10.0.0.1:-80",
                            "a 10.0.0.1:1-2",
                            "a unix@/run/x",
                            "a /run/x",
                            "a *:80",
                            "a 10.0.0.1:80 ssl",
                            "a 10.0.0.1:80 weight 257",
                            "a 10.0.0.1:80 weight",
                            "a 10.0.0.1:80 check addr 10.0.0.9",
                            "a 10.0.0.1:80 agent-check",
                            "a 10.0.0.1:80 check check-ssl",
                            "a 10.0.0.1:80 no-such x",
                            "a 10.0.0.1:80 track x/y",
                            "a 10.0.0.1:80 inter 1y",
                            "a",
                            "a 10.0.0.1:80\n server b "
                            "10.0.0.1:80"}) {
        INFO(bad);
        refused(std::string(" server ") + bad + "\n");
    }
    CHECK(refused("") == "1:1 listen x: there is no server");
    CHECK(refused(" server-template s 1-3 a.b:80\n").starts_with("3:2 listen x"));
}

TEST_CASE("frontends")
{
    const auto i = imported("frontend a\n bind 192.0.2.1:80\n default_backend none\n"
                            "frontend b\n bind 192.0.2.1:81\n"
                            "frontend c\n bind 192.0.2.1:82\n default_backend l\n"
                            "frontend d\n bind 192.0.2.1:82 transparent\n default_backend l\n"
                            "frontend e\n bind 127.0.0.1:83\n default_backend l\n"
                            "frontend f\n disabled\n bind 192.0.2.1:84\n default_backend l\n"
                            "frontend g\n bind 192.0.2.1:85\n default_backend h\n"
                            "backend h\n mode http\n server s 10.0.0.1:80\n"
                            "listen l\n server s 10.0.0.1:80\n");
    CHECK(names(i) == std::vector<std::string>{"192.0.2.1:82"});
    CHECK(lines(i.findings.refused) ==
          std::vector<std::string>{
              "3:18 frontend a: there is no backend 'none'",
              "4:1 frontend b: there is no default_backend",
              "10:7 frontend d: 192.0.2.1:82 is taken in line 7",
              "13:7 frontend e: '127.0.0.1:83': what this host sends to itself does not meet elb",
              "23:2 backend h: mode http: elb balances connections of TCP as they are"});
    for (const auto *bad : {"192.0.2.1", "192.0.2.1:0", "192.0.2.1:1-100", ":80 interface eth0",
                            "192.0.2.1:9-8", "192.0.2.1:80 what", "fd@3", ""}) {
        INFO(bad);
        const auto b = imported(std::string("listen x\n bind ") + bad + "\n" + server);
        CHECK(b.services.empty());
        CHECK(b.findings.refused.size() == 1);
    }
}

TEST_CASE("what is no configuration of HAProxy is said to be none")
{
    CHECK(failure("bind :80\n") == "haproxy.cfg:1:1: 'bind' stands in no section: is this a "
                                   "configuration of HAProxy?");
    CHECK(failure("global\n log 'a\n").starts_with("haproxy.cfg:2:6: this quote"));
    CHECK(failure("listen\n").starts_with("haproxy.cfg:1:1: a listen has a name"));
    CHECK(failure("listen a :80\n").starts_with("haproxy.cfg:1:10: ':80'"));
    CHECK(failure("listen a from b\n").starts_with("haproxy.cfg:1:15: there are no defaults 'b'"));
    CHECK(failure("listen a\nbackend a\n").starts_with("haproxy.cfg:2:9: 'a' is the name"));
    CHECK(failure("global\n .if defined(X)\n").starts_with("haproxy.cfg:2:2: '.if'"));
    CHECK(failure("listen a\\").starts_with("haproxy.cfg:1:9: nothing follows"));
    CHECK(failure(std::string("listen a\n\0b", 11)).starts_with("haproxy.cfg:2:1: "));
    CHECK(imported("").services.empty());
}

TEST_CASE("no text makes anything but services, refusals or an error")
{
    const std::string whole = file("mixed.cfg");
    std::minstd_rand dice(7);
    const std::string alphabet = "\n\t '\"\\#:,.*-[]0a@{}\r";
    for (int round = 0; round < 3000; ++round) {
        std::string text = whole;
        for (unsigned n = 1 + dice() % 8; n > 0; --n) {
            const auto where = dice() % text.size();
            switch (dice() % 4) {
            case 0:
                text.erase(where, 1 + dice() % 40);
                break;
            case 1:
                text.insert(where, 1, alphabet[dice() % alphabet.size()]);
                break;
            case 2:
                text[where] = static_cast<char>(dice());
                break;
            case 3:
                text.insert(where, text.substr(dice() % text.size(), dice() % 60));
                break;
            }
            if (text.empty())
                text = "\n";
        }
        const auto r = haproxy::import_services(text, "x", {{*Address::parse("192.0.2.99")}});
        if (!r) {
            CHECK(r.error().what.starts_with("x:"));
            continue;
        }
        for (const auto &f : r->findings.refused)
            CHECK(f.place.line > 0);
        const auto checked = check_section({{"service", r->services}}, nullptr);
        // Numbers are within bounds that only the daemon knows.
        if (!checked) {
            INFO(checked.error().where + " " + checked.error().what);
            CHECK(checked.error().where.find("/health/") != std::string::npos);
        }
    }
}

TEST_CASE("how connections get their servers, and how long they may be silent")
{
    CHECK(service(" balance leastconn\n" + server)["balance"] == "least_connections");
    CHECK(service(" balance source\n" + server)["affinity"] == "source");
    for (const char *how : {"roundrobin", "static-rr", "random"}) {
        const json s = service(" balance " + std::string(how) + "\n" + server);
        CHECK_FALSE(s.contains("balance"));
        CHECK_FALSE(s.contains("affinity"));
    }
    CHECK(refused(" balance hdr(host)\n" + server) ==
          "3:2 listen x: balance hdr(host): elb places connections by weights, connections or the "
          "client's address");

    const std::string table = " stick-table type ip size 200k expire 30m\n";
    json s = service(table + " balance leastconn\n stick on src\n" + server);
    CHECK(s["balance"] == "least_connections");
    CHECK(s["affinity"] == "source");
    CHECK(s["affinity_timeout"] == 1800);
    CHECK_FALSE(s.contains("affinity_prefix"));
    CHECK(service(table + " stick on src,ipmask(24)\n" + server)["affinity_prefix"] == 24);
    CHECK(service(" stick-table type ip size 1m\n stick on src\n" + server)["affinity_timeout"] ==
          2678400); // HAProxy's has no end
    const auto six =
        imported("listen x\n bind 192.0.2.1:80\n" + table + " stick on src,ipmask(24,56)\n" +
                 server + "listen y\n" + " bind 2001:db8::1:80\n" + table +
                 " stick on src,ipmask(24,56)\n server a 2001:db8:1::1:80\n");
    CHECK(six.services[0]["affinity_prefix"] == 24);
    CHECK(six.services[1]["affinity_prefix"] == 56);
    const std::string alone = ": stick: elb knows stick on src and stick on src,ipmask(…) alone";
    for (const char *how : {"on dst", "on src table other", "on src if { src 10.0.0.0/8 }",
                            "match src", "store-request src"})
        CHECK(refused(table + " stick " + how + "\n" + server) == "4:2 listen x" + alone);
    CHECK(refused(table + " stick on src,ipmask(33)\n" + server)
              .starts_with("4:2 listen x: stick: a mask is"));
    CHECK(refused(" stick on src\n" + server) == "3:2 listen x: stick: there is no stick-table");
    CHECK(refused(table + " stick on src\n stick on src\n" + server)
              .starts_with("5:2 listen x: stick: elb keeps one"));

    const auto timeouts = [](const std::string &lines) {
        return service(lines + server).value("timeouts", json());
    };
    CHECK(timeouts("").is_null());
    CHECK(timeouts(" timeout client 50s\n") == json{{"tcp_established", 50}});
    CHECK(timeouts(" timeout client 50s\n timeout server 40s\n") == json{{"tcp_established", 40}});
    CHECK(timeouts(" timeout client 50s\n timeout server 1m\n timeout tunnel 1h\n"
                   " timeout client-fin 1500ms\n") ==
          json{{"tcp_established", 3600}, {"fin_wait", 2}});
    CHECK(timeouts(" timeout tunnel 0\n") == json{{"tcp_established", 2678400}});
    CHECK(refused(" timeout server soon\n" + server).starts_with("3:17 listen x: 'soon' is no "));
}
