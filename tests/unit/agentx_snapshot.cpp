// SPDX-License-Identifier: GPL-2.0-or-later
// What EVNF-MIB shows, whatever names there are. What a daemon's answers come to is
// netns/agentx_test.py's.
#include "tools/agentx/snapshot.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <random>

using namespace evnf::agentx;

namespace
{

constexpr std::size_t base_length = 10;   // of evnfMIB
constexpr std::size_t longest_name = 128; // of an object: RFC 3416

json counts(unsigned packets)
{
    return {{"packets", packets}, {"bytes", 60 * std::uint64_t{packets}}};
}

Answers answers()
{
    Answers a;
    a.status = {{"name", "evnf"},
                {"version", "1"},
                {"uptime_s", 7},
                {"generation", 1},
                {"warnings", json::array()},
                {"interfaces", json::array()},
                {"instances", json::array()}};
    a.counters = {{"chains", json::array()},
                  {"nexthops", {{"resolved", 1}, {"slow", 2}, {"pending", 3}}},
                  {"events_lost", {{"nexthop_miss", 4}}},
                  {"workers",
                   {{"workers", 1},
                    {"handled", 2},
                    {"refused", 3},
                    {"failed", 4},
                    {"copies_sent", 5},
                    {"copies_lost", 6},
                    {"xsk_lost", 7}}}};
    return a;
}

void add_chain(Answers &a, const std::string &name, const std::vector<std::string> &reasons)
{
    json slot{{"slot", a.counters["chains"].size()},
              {"name", name},
              {"resumed", counts(0)},
              {"reasons", json::array()}};
    slot.update(counts(9));
    for (const auto *verdict : {"next", "drop", "slow", "done"})
        slot["verdicts"][verdict] = counts(1);
    for (const auto &reason : reasons) {
        json row{{"reason", reason}, {"verdict", "drop"}, {"help", name}};
        row.update(counts(5));
        slot["reasons"].push_back(row);
    }
    a.counters["chains"].push_back(
        {{"name", name}, {"path", name}, {"slots", json::array({slot})}});
}

void add_efw(Answers &a, const std::string &name, const std::string &rule)
{
    a.status["instances"].push_back({{"name", name}, {"vnf", "efw"}});
    a.counters[name] = {
        {"rules", {{{"id", 1}, {"action", "drop"}, {"packets", 1}, {"bytes", 60}, {"rule", rule}}}},
        {"default", "slow"},
        {"default_packets", 0},
        {"default_bytes", 0},
        {"answers", {{"sent", 0}, {"limited", 0}, {"silent", 0}, {"failed", 0}}},
        {"log", {{"written", 0}, {"left_out", 0}}},
        {"memory", {{"used", std::uint64_t{1} << 40}, {"room", 1}}}};
}

const Value *find(const Snapshot &all, const Oid &name)
{
    const auto it = std::find_if(all.begin(), all.end(), [&](auto &o) { return o.first == name; });
    return it == all.end() ? nullptr : &it->second;
}

Oid with(Oid first, const std::string &name)
{
    first.insert(first.end(), name.begin(), name.end());
    return first;
}

} // namespace

TEST_CASE("without evnfd there is nothing but that, and why")
{
    CHECK(snapshot_without("gone") ==
          Snapshot{{{1, 1, 1, 0}, Integer{2}}, {{1, 1, 2, 0}, std::string("gone")}});
}

TEST_CASE("numbers keep their size")
{
    auto a = answers();
    a.counters["workers"]["handled"] = 0xffffffffffffffff;
    add_efw(a, "efw", "drop");
    const auto all = snapshot_of(a);
    CHECK(*find(all, {1, 1, 13, 0}) == Value(Counter{0xffffffffffffffff}));
    // A gauge that does not fit stays at its end (RFC 2578, 7.1.7).
    CHECK(*find(all, with({1, 8, 1, 11, 3}, "efw")) == Value(Gauge{0xffffffff}));
}

TEST_CASE("names that no index holds have no row")
{
    auto a = answers();
    const std::string fits(64, 'c'), longer(65, 'c');
    add_chain(a, fits, {"drop", longer});
    add_chain(a, longer, {fits});
    add_efw(a, std::string(41, 'e'), "drop");
    const auto all = snapshot_of(a);
    CHECK(find(all, with({1, 4, 1, 2}, fits)));
    CHECK_FALSE(find(all, with({1, 4, 1, 2}, longer)));
    CHECK(find(all, with({1, 6, 1, 3, 0}, "drop")));
    CHECK_FALSE(find(all, with({1, 6, 1, 3, 0}, longer)));
    CHECK(find(all, with({1, 6, 1, 3, 1}, fits)));
    CHECK(std::none_of(all.begin(), all.end(), [](auto &o) { return o.first[1] == 8; }));
}

TEST_CASE("whatever the names are, objects are in order and one of a name")
{
    std::mt19937 random(5);
    for (int round = 0; round < 200; ++round) {
        auto a = answers();
        const auto name = [&](std::size_t most) {
            std::string out(1 + random() % most, ' ');
            for (char &c : out) // few of them, so that some are equal; some are no ASCII
                c = static_cast<char>("ab\xc3\xa4 "[random() % 5]);
            return out;
        };
        std::vector<std::string> reasons;
        for (int i = 0; i < 5; ++i)
            reasons.push_back(name(2));
        for (int i = 0; i < 4; ++i)
            add_chain(a, name(80), reasons);
        for (int i = 0; i < 3; ++i)
            add_efw(a, name(50), name(400));
        const auto all = snapshot_of(a);
        CHECK(std::adjacent_find(all.begin(), all.end(), [](auto &one, auto &next) {
                  return one.first >= next.first;
              }) == all.end());
        for (const auto &[oid, value] : all) {
            CHECK(base_length + oid.size() <= longest_name);
            if (const auto *text = std::get_if<std::string>(&value)) {
                CHECK(text->size() <= 255);
                CHECK(std::all_of(text->begin(), text->end(),
                                  [](char c) { return c >= ' ' && c <= '~'; }));
            }
        }
    }
}
