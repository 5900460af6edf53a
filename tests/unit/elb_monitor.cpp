// SPDX-License-Identifier: GPL-2.0-or-later
// What a monitor asks and keeps, without a fast path: answers, scripts, lines, files.
#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "base/fd.hpp"
#include "vnfs/elb/feedback/secret.hpp"
#include "vnfs/elb/monitor/kept.hpp"
#include "vnfs/elb/probe/probe.hpp"

using namespace evnf;
using namespace evnf::elb;

namespace
{

using Clock = std::chrono::steady_clock;

// A folder that goes with the test.
struct Folder {
    std::string path = std::filesystem::temp_directory_path() / "evnf-unit-XXXXXX";
    Folder() { REQUIRE(::mkdtemp(path.data())); }
    ~Folder() { std::filesystem::remove_all(path); }
    [[nodiscard]] std::string write(const std::string &name, const std::string &text,
                                    mode_t mode) const
    {
        std::string file = path + "/" + name;
        std::ofstream(file) << text;
        ::chmod(file.c_str(), mode);
        return file;
    }
};

HealthSettings http(const json &more)
{
    json table{{"type", "http"}};
    table.update(more.is_null() ? json::object() : more);
    return *health_of({table}, "");
}

// Runs probes until there is an outcome.
template <class T>
T outcome_of(Probes &probes, const std::optional<T> &outcome)
{
    while (!outcome) {
        ::usleep(1000);
        probes.run(Clock::now());
    }
    return *outcome;
}

Check run_script(const std::vector<std::string> &command, double timeout = 60)
{
    ScriptProbes scripts;
    std::optional<Check> check;
    scripts.start(command, {"EVNF_PORT=80"}, timeout, [&](const Check &c) { check = c; });
    return outcome_of(scripts, check);
}

} // namespace

TEST_CASE("what an answer means")
{
    const HttpAnswer ok{.status = 200, .body = "all is ready\nbye\n", .seconds = 0.001};
    CHECK(judge(ok, http({})).good);
    CHECK(judge(ok, http({})).text == "status 200 in 1.0 ms");
    CHECK(judge(ok, http({{"status", {404, "200-204"}}})).good);
    CHECK_FALSE(judge(ok, http({{"status", {404, "201-204"}}})).good);
    CHECK(judge(ok, http({{"body", "ready"}})).good);
    CHECK_FALSE(judge(ok, http({{"body", "Ready"}})).good);
    CHECK(judge(ok, http({{"body_regex", "is (ready|idle)"}})).good);
    CHECK_FALSE(judge(ok, http({{"body_regex", "^ready"}})).good);
    CHECK(judge({.error = "refused"}, http({})).text == "refused");
    CHECK_FALSE(judge({.error = "refused"}, http({})).good);
    CHECK_FALSE(judge({.status = 500}, http({})).good);
    CHECK(judge({.seconds = 0.002}, *health_of({{{"type", "tcp"}}}, "")).text ==
          "connected in 2.0 ms");
}

TEST_CASE("scripts: exit codes, signals, time, environment, privileges")
{
    if (::geteuid() != 0) {
        WARN("skipped: scripts are run as nobody, which takes root");
        return;
    }
    CHECK(run_script({"/bin/sh", "-c", "exit 0"}).good);
    CHECK(run_script({"/bin/sh", "-c", "exit 3"}).text == "exit code 3");
    CHECK_FALSE(run_script({"/bin/sh", "-c", "exit 3"}).good);
    CHECK(run_script({"/bin/sh", "-c", "kill -9 $$"}).text == "the script was ended by signal 9");
    CHECK(run_script({"/nonexistent"}).text == "exit code 127: the script cannot be run");
    CHECK(run_script({"/bin/sh", "-c", "sleep 1000"}, 0.05).text == "the script takes too long");
    CHECK(run_script({"/bin/sh", "-c", "test $EVNF_PORT = 80 && test $(id -u) = 65534"}).good);
    CHECK(run_script({"/bin/sh", "-c", "test -z \"$HOME\""}).good); // no more than is given
}

TEST_CASE("lines")
{
    const Fd listener(::socket(AF_INET, SOCK_STREAM, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto *any = reinterpret_cast<sockaddr *>(&address);
    REQUIRE(::bind(listener.get(), any, size) == 0);
    REQUIRE(::getsockname(listener.get(), any, &size) == 0);
    REQUIRE(::listen(listener.get(), 8) == 0);
    const Endpoint to{*Address::parse("127.0.0.1"), ntohs(address.sin_port)};

    const auto said = [&](const std::string &text, double timeout) {
        LineProbes lines;
        std::optional<Result<std::string>> line;
        lines.start(to, timeout, [&](const Result<std::string> &l) { line = l; });
        Fd server(::accept(listener.get(), nullptr, nullptr));
        REQUIRE(::write(server.get(), text.data(), text.size()) ==
                static_cast<ssize_t>(text.size()));
        if (timeout > 1)
            server = Fd();
        const auto outcome = outcome_of(lines, line);
        return outcome ? *outcome : outcome.error().what;
    };
    CHECK(said("75% up\r\nmore", 60) == "75% up");
    CHECK(said("75%", 60) == "75%"); // ends with the connection
    CHECK(said("", 60).ends_with("closed without a line"));
    CHECK(said("75", 0.05).ends_with("says no line in time"));
    CHECK(said(std::string(300, 'x'), 60).find("says no line") != std::string::npos);
}

TEST_CASE("a secret is one line that nobody else may read")
{
    const Folder folder;
    CHECK(*read_secret(folder.write("good", "s3cret phrase\n", 0600)) == "s3cret phrase");
    CHECK(*read_secret(folder.write("bare", "s3cret", 0400)) == "s3cret");
    CHECK(read_secret(folder.write("open", "s3cret\n", 0640))
              .error()
              .what.ends_with("can be read by others than root: chown root, chmod 600"));
    for (const auto *text : {"", "\n", "two\nlines\n"})
        CHECK(read_secret(folder.write("bad", text, 0600)).error().what.find("one line") !=
              std::string::npos);
    CHECK(read_secret(folder.path + "/none").error().code == ENOENT);
    CHECK(read_secret(folder.path).error().what.ends_with("is not a file"));
}

TEST_CASE("what is kept comes back, and times with it, on another clock")
{
    const Time now = Time() + std::chrono::hours(5);
    const Calendar today = Calendar() + std::chrono::hours(500000);
    States states;
    BackendState &down = states[{"tcp 192.0.2.10:80", "10.0.0.1:80"}];
    down.health.health = Health::down;
    down.health.since = now - std::chrono::minutes(3);
    BackendState &starting = states[{"tcp 192.0.2.10:80", "10.0.0.2:80"}];
    starting.health.health = Health::up;
    starting.health.ramps = true;
    starting.health.since = now - std::chrono::seconds(5);
    starting.feedback.weight = 1.5;
    starting.feedback.load = 0.25;
    starting.feedback.measured = now - std::chrono::seconds(2);
    starting.drain = Drain{now - std::chrono::hours(1), now + std::chrono::minutes(1), true};
    states[{"tcp 192.0.2.10:80", "10.0.0.3:80"}] = {}; // nothing is known of it

    const std::string text = kept_text(states, now, today);
    const Time later = Time() + std::chrono::hours(1); // the machine has booted
    const auto back = read_kept(text, later, today + std::chrono::seconds(10), "f");
    REQUIRE(back);
    REQUIRE(back->size() == 2);
    const auto &one = back->at({"tcp 192.0.2.10:80", "10.0.0.1:80"});
    CHECK(one.health.health == Health::down);
    CHECK(one.health.since == later - std::chrono::seconds(190));
    CHECK_FALSE(one.drain);
    const auto &two = back->at({"tcp 192.0.2.10:80", "10.0.0.2:80"});
    CHECK(two.health.ramps);
    CHECK(two.health.since == later - std::chrono::seconds(15));
    CHECK(two.feedback.weight == 1.5);
    CHECK(two.feedback.load == 0.25);
    CHECK(*two.feedback.measured == later - std::chrono::seconds(12));
    CHECK(two.drain->resets);
    CHECK(*two.drain->deadline == later + std::chrono::seconds(50));
    CHECK(kept_text(*back, later, today + std::chrono::seconds(10)) == text);
    // Time that passes changes nothing of it.
    CHECK(kept_text(states, now + std::chrono::seconds(7), today + std::chrono::seconds(7)) ==
          text);
    for (const auto *bad : {"", "[]", "{}", R"({"backends": [{}]})", R"({"backends": 7})"})
        CHECK(read_kept(bad, now, today, "f").error().what.starts_with("f is damaged"));
}
