// SPDX-License-Identifier: GPL-2.0-or-later
#include <catch2/catch.hpp>
#include <random>

#include "vnfs/elb/health/state.hpp"

using namespace evnf;
using namespace evnf::elb;

namespace
{

HealthSettings settings(const json &table)
{
    const auto s = health_of({table}, "");
    REQUIRE(s);
    return *s;
}

std::string refusal(const json &table, HealthLevel level = HealthLevel::service)
{
    const auto checked = check_health(table, "/health", level);
    if (!checked)
        return checked.error().where + ": " + checked.error().what;
    const auto whole = health_of({table}, "/health");
    return whole ? "accepted" : whole.error().where + ": " + whole.error().what;
}

const Time start = Time() + std::chrono::hours(1000);

Time at(double seconds)
{
    return start + std::chrono::duration_cast<Time::duration>(Seconds(seconds));
}

// The states after each check of "+" and "-": c, u or d.
std::string states(const std::string &checks, const HealthSettings &s, HealthState state = {})
{
    std::string out;
    for (std::size_t i = 0; i < checks.size(); ++i) {
        const auto before = state.health;
        const bool changed = state.learn({checks[i] == '+', "x"}, s, at(static_cast<double>(i)));
        CHECK(changed == (before != state.health));
        out += health_text(state.health)[0];
    }
    return out;
}

} // namespace

TEST_CASE("connections stay when a backend is down, unless that is asked for")
{
    CHECK_FALSE(settings(json::object()).resets);
    CHECK_FALSE(settings({{"on_down", "leave"}}).resets);
    CHECK(settings({{"on_down", "reset"}}).resets);
    CHECK(refusal({{"on_down", "close"}}).starts_with("/health/on_down: "));
}

TEST_CASE("rise and fall")
{
    const auto s = settings({{"type", "tcp"}, {"rise", 2}, {"fall", 3}});
    CHECK(states("---+-++--+---", s) == "ccdddduuuuuud");
    CHECK(states("+", s) == "u"); // at once, when nothing is known
    CHECK(states("--+--", s) == "ccuuu");
    CHECK(states("-", settings({{"fall", 1}})) == "d");
    CHECK(states("--+-+++", settings({{"fall", 2}, {"rise", 3}})) == "cdddddu");
}

TEST_CASE("for all outcomes: down needs `fall` bad ones in a row, up `rise` good ones")
{
    std::mt19937 random(3);
    for (int round = 0; round < 500; ++round) {
        const unsigned rise = 1 + random() % 4, fall = 1 + random() % 4;
        const auto s = settings({{"rise", rise}, {"fall", fall}});
        HealthState state;
        std::string seen;
        for (int i = 0; i < 100; ++i) {
            const auto before = state.health;
            const bool good = random() % 2;
            seen += good ? '+' : '-';
            state.learn({good, ""}, s, at(i));
            const bool bad_run = seen.ends_with(std::string(fall, '-'));
            const bool good_run = seen.ends_with(std::string(rise, '+'));
            const auto wanted = bad_run                      ? Health::down
                                : before == Health::checking ? (good ? Health::up : before)
                                : good_run                   ? Health::up
                                                             : before;
            REQUIRE(state.health == wanted);
        }
    }
}

TEST_CASE("a slow start after coming up from down, and only then")
{
    const auto s = settings({{"rise", 1}, {"fall", 1}, {"slow_start", 10}});
    HealthState state;
    state.learn({true, ""}, s, at(0));
    CHECK(state.ramp(s, at(0)) == 1); // a balancer that starts knows nothing of a start there
    state.learn({false, ""}, s, at(1));
    state.learn({true, ""}, s, at(100));
    CHECK(state.ramp(s, at(100)) == Approx(0.01));
    CHECK(state.ramp(s, at(102.5)) == Approx(0.25));
    CHECK(state.ramp(s, at(110)) == 1);
    CHECK(state.ramp(s, at(1000)) == 1);
    CHECK(state.ramp(settings({{"slow_start", 0}}), at(100)) == 1);
    state.learn({true, ""}, s, at(105));
    CHECK(state.ramp(s, at(105)) == Approx(0.5)); // goes on
    CHECK(state.since == at(100));
}

TEST_CASE("a drain is over after its deadline")
{
    CHECK_FALSE(Drain{at(0), {}}.over(at(1e6)));
    CHECK_FALSE(Drain{at(0), at(5)}.over(at(4.9)));
    CHECK(Drain{at(0), at(5)}.over(at(5)));
}

TEST_CASE("what is wrong in a health table is refused at its place")
{
    CHECK(refusal(7) == "/health: health is a table");
    CHECK(refusal({{"type", "icmp"}}) ==
          "/health/type: 'icmp' is not a type: none, tcp, http, https or script");
    CHECK(refusal({{"falls", 2}}) == "/health/falls: 'falls' is not a key of health");
    CHECK(refusal({{"fall", 0}}) == "/health/fall: fall is a number from 1 to 100");
    CHECK(refusal({{"interval", 0.01}}) ==
          "/health/interval: interval is a number from 0.1 to 3600, in seconds");
    CHECK(refusal({{"interval", "5s"}}).starts_with("/health/interval: "));
    CHECK(refusal({{"status", {200, "300-250"}}}).starts_with("/health/status/1: a status is"));
    CHECK(refusal({{"status", 99}}).starts_with("/health/status: a status is"));
    CHECK(refusal({{"status", json::array()}}).starts_with("/health/status: no status"));
    CHECK(refusal({{"path", "health"}}) == "/health/path: a path begins with /");
    CHECK(refusal({{"host", "a\r\nb"}}).starts_with("/health/host: "));
    CHECK(
        refusal({{"body_regex", "ok("}}).starts_with("/health/body_regex: 'ok(' is not a regular"));
    CHECK(refusal({{"method", "POST"}}) ==
          "/health/method: 'POST' is not a method: GET, HEAD or OPTIONS");
    CHECK(refusal({{"method", "HEAD"}, {"body", "ok"}}).starts_with("/health/method: "));
    CHECK(refusal({{"type", "script"}}) == "/health: a check by script needs a command");
    CHECK(refusal({{"command", {"check"}}}).starts_with("/health/command: a command is"));
    CHECK(refusal({{"verify", 1}}) == "/health/verify: verify is true or false");
    CHECK(refusal({{"panic", 101}}).starts_with("/health/panic: "));
    CHECK(refusal({{"panic", 50}}, HealthLevel::backend) ==
          "/health/panic: 'panic' is not a key of health");
}

TEST_CASE("the most special table counts, and status ranges are read")
{
    const std::vector<json> tables{{{"type", "http"}, {"path", "/a"}, {"panic", 30}},
                                   {{"path", "/b"}, {"status", {204, "300-302"}}},
                                   {{"port", 81}}};
    const auto s = health_of(tables, "");
    CHECK(s->type == HealthSettings::Type::http);
    CHECK(s->path == "/b");
    CHECK(s->port == 81);
    CHECK(s->status == std::vector<std::pair<unsigned, unsigned>>{{204, 204}, {300, 302}});
    CHECK(panic_of(tables) == 30);
    CHECK(health_of({json(), {{"type", "none"}}}, "")->type == HealthSettings::Type::none);
}
