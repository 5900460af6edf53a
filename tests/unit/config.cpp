// SPDX-License-Identifier: GPL-2.0-or-later
#include <catch2/catch.hpp>

#include "config/toml.hpp"

using namespace evnf;
using namespace evnf::config;

namespace
{

const char *const text = "# comment\n"
                         "name = \"é\"\n"
                         "[efw]\n"
                         "rules = [\n"
                         "  \"tcp dport 80 accept\",\n"
                         "  'udp dprt 53 drop', # ümlaut\n"
                         "]\n"
                         "[[elb.service]]\n"
                         "address = \"192.0.2.10\"\r\n"
                         "backends = [ { address = \"10.0.0.1\", port = 80 } ]\n";

} // namespace

TEST_CASE("a file is its JSON, and each value has its place")
{
    const Document d = *read_toml(text, "web.toml");
    CHECK(d.value["efw"]["rules"][1] == "udp dprt 53 drop");
    CHECK(d.value["elb"]["service"][0]["backends"][0]["port"] == 80);
    auto place = [&](const char *pointer) {
        const Position p = d.find(pointer);
        return std::to_string(p.line) + ":" + std::to_string(p.column);
    };
    CHECK(place("/efw/rules/0") == "5:3");
    CHECK(place("/efw/rules/1") == "6:3");
    CHECK(place("/elb/service/0/address") == "9:11");
    CHECK(place("/elb/service/0/backends/0/port") == "10:45");
    CHECK(place("/elb/service/0/backends/0/nothing") == place("/elb/service/0/backends/0"));
    CHECK(place("/nowhere") == "1:1");
}

TEST_CASE("an error is shown at its word")
{
    const Document d = *read_toml(text, "web.toml");
    CHECK(explain(d, bad_input("'dprt' is no word", "/efw/rules/1", 4, 4)) ==
          "web.toml:6:8: 'dprt' is no word\n"
          "    'udp dprt 53 drop', # ümlaut\n"
          "         ^^^^");
    CHECK(explain(d, bad_input("port is wrong", "/elb/service/0/backends/0/port")) ==
          "web.toml:10:45: port is wrong\n"
          "  backends = [ { address = \"10.0.0.1\", port = 80 } ]\n"
          "                                              ^");
}

TEST_CASE("a column counts bytes, the caret stands under the character")
{
    const Document d = *read_toml("k = [\"é\", \"bad word\"]\n", "x");
    CHECK(explain(d, bad_input("no", "/k/1", 4, 4)) == "x:1:17: no\n"
                                                       "  k = [\"é\", \"bad word\"]\n"
                                                       "                 ^^^^");
}

TEST_CASE("text that is not TOML, or not for us, is refused at its place")
{
    const auto broken = read_toml("a = 1\nb = = 2\n", "x.toml");
    REQUIRE_FALSE(broken);
    CHECK(broken.error().what.starts_with("x.toml:2:5: "));
    const auto date = read_toml("a = 1\nwhen = 2026-01-01\n", "x.toml");
    REQUIRE_FALSE(date);
    CHECK(date.error().what.starts_with("x.toml:2:8: "));
    CHECK(read_toml_file("/nonexistent.toml").error().code == ENOENT);
}
