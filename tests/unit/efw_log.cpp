// SPDX-License-Identifier: GPL-2.0-or-later
// Lines of logged packets, how many of them, and those who read them.
#include <catch2/catch.hpp>

#include "vnfs/efw/packet_line.hpp"
#include "vnfs/efw/packet_log.hpp"

using namespace evnf;
using namespace evnf::efw;
using namespace std::chrono_literals;
using nlohmann::json;

TEST_CASE("a record is a line that logfmt's readers can take apart")
{
    const json record{{"time_ns", 1'700'000'000'123'456'789},
                      {"rule", 7},
                      {"name", "odd \"name\"\nrule=8"},
                      {"action", "drop"},
                      {"in", "eth0"},
                      {"vlan", 5},
                      {"protocol", "udp"},
                      {"source", "2001:db8::1"},
                      {"source_port", 53},
                      {"destination", "2001:db8::2"},
                      {"destination_port", 5353},
                      {"fragment", "first"},
                      {"length", 1280}};
    CHECK(log_line(record) ==
          "efw packet time=2023-11-14T22:13:20.123456Z rule=7 name=\"odd \\\"name\\\"\\nrule=8\" "
          "action=drop in=eth0 vlan=5 protocol=udp source=2001:db8::1 source_port=53 "
          "destination=2001:db8::2 destination_port=5353 fragment=first length=1280");
}

TEST_CASE("no value of a name makes a second line")
{
    for (const char *name : {"a\nb", "a\rb", "a\tb", "a\x7f", "a b", "a=b", "a\"b", "a\\b", ""}) {
        const std::string line = log_line({{"time_ns", 0}, {"name", name}});
        CHECK(line.find_first_of("\n\r\t") == line.npos);
        CHECK(line.find("name=\"") != line.npos);
    }
    CHECK(log_line({{"time_ns", 0}, {"name", "a-b"}}).ends_with(" name=a-b"));
}

TEST_CASE("flags in the words of a rule")
{
    CHECK(flags_text(0) == "none");
    CHECK(flags_text(0x12) == "syn,ack");
    CHECK(flags_text(0xff) == "fin,syn,rst,psh,ack,urg,ece,cwr");
}

TEST_CASE("so many lines a second, and the rest is told once")
{
    LineBudget budget;
    auto now = LineBudget::Clock::time_point() + 1h;
    unsigned lines = 0;
    for (int i = 0; i < 250; ++i)
        lines += budget.take(now);
    CHECK(lines == 100);
    CHECK(budget.left_out(now + 999ms) == 0);
    CHECK(budget.left_out(now + 1s) == 150);
    CHECK(budget.left_out(now + 1s) == 0);
    CHECK(budget.take(now + 1s));
}

TEST_CASE("a reader gets what is put while it reads, and is told what it lost")
{
    Feed feed;
    CHECK_FALSE(feed.has_readers());
    feed.put({{"n", 0}});
    auto reader = feed.open();
    const auto other = feed.open();
    CHECK(feed.has_readers());
    for (int i = 1; i <= 5000; ++i)
        feed.put({{"n", i}});
    const auto lines = reader->read(0ms);
    REQUIRE(lines.size() == 4097);
    CHECK(lines.front() == json{{"n", 1}});
    CHECK(lines[4095] == json{{"n", 4096}});
    CHECK(lines.back() == json{{"lost", 904}});
    CHECK(reader->read(0ms).empty());
    feed.put({{"n", 1}});
    CHECK(reader->read(0ms).size() == 1);
    reader.reset();
    feed.put({{"n", 2}});
    CHECK(feed.has_readers()); // the other one
}
