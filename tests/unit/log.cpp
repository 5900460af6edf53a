// SPDX-License-Identifier: GPL-2.0-or-later
// Lines of the log: for people, and as JSON whatever they say. The journal: unit/log_journal.py.
#include "base/log.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <regex>

#include "base/fd.hpp"

using namespace evnf;
using nlohmann::json;

namespace
{

// What is written to stderr meanwhile.
template <class Write>
std::string written(const LogSettings &settings, const Write &write)
{
    const Fd file(::memfd_create("stderr", MFD_CLOEXEC)), before(::dup(STDERR_FILENO));
    REQUIRE(::dup2(file.get(), STDERR_FILENO) >= 0);
    set_log(settings);
    write();
    set_log({});
    REQUIRE(::dup2(before.get(), STDERR_FILENO) >= 0);
    std::string out(4096, '\0');
    const ssize_t n = ::pread(file.get(), out.data(), out.size(), 0);
    REQUIRE(n >= 0);
    out.resize(static_cast<std::size_t>(n));
    return out;
}

void write_all()
{
    log_info("ready");
    log_warning("eth0 is gone", {{"interface", "eth0"}});
    log_error("detach from eth0", sys_error("remove its pin", EBUSY), {{"interface", "eth0"}});
}

} // namespace

TEST_CASE("text is for people")
{
    CHECK(written({}, write_all) ==
          "evnfd: ready\n"
          "evnfd: warning: eth0 is gone\n"
          "evnfd: error: detach from eth0: remove its pin: Device or resource busy\n");
}

TEST_CASE("what is not as bad as the level is not written")
{
    CHECK(written({.program = "evnf-agentx", .level = LogLevel::warning}, write_all) ==
          "evnf-agentx: warning: eth0 is gone\n"
          "evnf-agentx: error: detach from eth0: remove its pin: Device or resource busy\n");
    CHECK(written({.level = LogLevel::error}, write_all) ==
          "evnfd: error: detach from eth0: remove its pin: Device or resource busy\n");
}

TEST_CASE("each line of JSON is an object, whatever it says")
{
    const LogSettings settings{.daemon = "evnf", .format = LogFormat::json_lines};
    std::istringstream lines(written(settings, [] {
        write_all();
        log_info("two\nlines, a \"quote\" and \xff", {{"source", "\x01"}});
    }));
    std::vector<json> found;
    for (std::string line; std::getline(lines, line);) {
        found.push_back(json::parse(line));
        const auto time = found.back()["time"].get<std::string>();
        CHECK(std::regex_match(time, std::regex(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)")));
        found.back().erase("time");
    }
    REQUIRE(found.size() == 4);
    CHECK(found[0] ==
          json{{"level", "info"}, {"program", "evnfd"}, {"daemon", "evnf"}, {"message", "ready"}});
    CHECK(found[1]["fields"] == json{{"interface", "eth0"}});
    CHECK(found[2]["level"] == "error");
    CHECK(found[2]["fields"] == json{{"interface", "eth0"}, {"errno", std::to_string(EBUSY)}});
    CHECK(found[3]["message"] == "two\nlines, a \"quote\" and \xef\xbf\xbd");
    CHECK(found[3]["fields"]["source"] == "\x01");
}
