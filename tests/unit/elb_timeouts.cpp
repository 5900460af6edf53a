// SPDX-License-Identifier: GPL-2.0-or-later
#include <catch2/catch.hpp>

#include <netinet/in.h>

#include "vnfs/elb/timeouts.hpp"

using namespace evnf;
using namespace evnf::elb;

namespace
{

json section(const json &all, const json &one = nullptr)
{
    json with{{"address", "192.0.2.10"},
              {"port", 80},
              {"protocol", "tcp"},
              {"backends", {{{"address", "10.0.0.1"}}}}};
    json without = with;
    without["address"] = "192.0.2.11";
    if (!one.is_null())
        with["timeouts"] = one;
    json out{{"service", {with, without}}};
    if (!all.is_null())
        out["timeouts"] = all;
    return out;
}

std::string refusal(const json &all, const json &one = nullptr)
{
    const auto r = check_section(section(all, one), nullptr);
    return r ? "accepted" : r.error().where + ": " + r.error().what;
}

} // namespace

TEST_CASE("each state has its time-out")
{
    const Timeouts t{
        .tcp_established = 1, .sctp_established = 2, .fin_wait = 3, .close = 4, .udp = 5};
    constexpr unsigned fin = ELB_SEEN_FIN, rst = ELB_SEEN_RST;
    for (const auto protocol : {IPPROTO_TCP, IPPROTO_SCTP}) {
        const auto p = static_cast<std::uint8_t>(protocol);
        CHECK(timeout_of(t, p, 0, 0) == (protocol == IPPROTO_TCP ? 1 : 2));
        CHECK(timeout_of(t, p, fin, 0) == 3);
        CHECK(timeout_of(t, p, 0, fin) == 3);
        CHECK(timeout_of(t, p, fin, fin) == 4);
        CHECK(timeout_of(t, p, rst, 0) == 4);
        CHECK(timeout_of(t, p, fin, rst) == 4);
    }
    CHECK(timeout_of(t, IPPROTO_UDP, 0, 0) == 5);
    CHECK(least_timeout(t) == 1);
}

TEST_CASE("what a service does not say, all say; what they do not, a standard does")
{
    const json checked = *check_section(
        section({{"udp", 30}, {"fin_wait", 20}, {"opening", 9}}, {{"fin_wait", 10}}), nullptr);
    const BackendTimeouts t = timeouts_of(checked);
    const auto id = [&](unsigned i) {
        return checked["service"][i]["backends"][0]["id"].get<unsigned>();
    };
    CHECK(t.all.opening == 9);
    CHECK(t.of(id(0)).fin_wait == 10);
    CHECK(t.of(id(0)).udp == 30);
    CHECK(t.of(id(1)).fin_wait == 20);
    CHECK(t.of(id(1)).tcp_established == 7440);
    CHECK(t.of(77).udp == 30); // of a backend that has gone
    CHECK(own_timeouts(checked, 0)->fin_wait == 10);
    CHECK_FALSE(own_timeouts(checked, 1));
    CHECK(to_json(t.of(id(0))) ==
          json::parse(R"({"opening": 9, "tcp_established": 7440, "sctp_established": 210,
                          "fin_wait": 10, "close": 60, "udp": 30})"));
    CHECK(*check_section(checked, checked) == checked);
}

TEST_CASE("time-outs that are wrong are refused at the place")
{
    CHECK(refusal({{"udp", 1}}, {{"udp", 2678400}}) == "accepted");
    CHECK(refusal({{"udp", 0}}) == "/timeouts/udp: udp is a number from 1 to 2678400");
    CHECK(refusal({{"udp", 2678401}}).starts_with("/timeouts/udp: "));
    CHECK(refusal({{"udp", "long"}}).starts_with("/timeouts/udp: "));
    CHECK(refusal({{"tcp", 5}}) == "/timeouts/tcp: 'tcp' is not a key of timeouts");
    CHECK(refusal(7) == "/timeouts: timeouts are a table, such as { tcp_established = 7200 }");
    CHECK(refusal(nullptr, {{"close", 0}}).starts_with("/service/0/timeouts/close: "));
    CHECK(refusal(nullptr, {{"opening", 5}}) ==
          "/service/0/timeouts/opening: opening counts for all services: give it in "
          "[elb.timeouts]");
}

TEST_CASE("a change of time-outs is a line of its own")
{
    const auto checked = [](const json &all, const json &one = nullptr) {
        return *check_section(section(all, one), nullptr);
    };
    using Lines = std::vector<std::string>;
    CHECK(diff_sections(checked(nullptr), checked({{"udp", 5}})) ==
          Lines{R"(+ elb timeouts {"udp":5})"});
    CHECK(diff_sections(checked({{"udp", 5}}), checked({{"udp", 6}}, {{"close", 7}})) ==
          Lines{R"(~ elb timeouts {"udp":6})",
                R"(+ elb service tcp 192.0.2.10:80 timeouts {"close":7})"});
}
