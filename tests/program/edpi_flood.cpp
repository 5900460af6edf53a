// SPDX-License-Identifier: GPL-2.0-or-later
// A flood of new flows: packets go on, all of them are counted, and memory stays in its bound.
// EVNF_FLOWS (50,000) says how many; of each there is one packet.
#include <arpa/inet.h>
#include <linux/bpf.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include "support/edpi.hpp"
#include "vnfs/edpi/record.hpp"

using namespace evnf;
using namespace evnf::test;

namespace
{

std::uint32_t flood_size()
{
    const char *given = std::getenv("EVNF_FLOWS");
    return given ? static_cast<std::uint32_t>(std::stoul(given)) : 50'000;
}

// Of this process, in bytes.
std::uint64_t resident()
{
    std::uint64_t all = 0, pages = 0;
    std::ifstream("/proc/self/statm") >> all >> pages;
    return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

// UDP from another address each.
Bytes new_flow(Random &random, std::uint32_t n)
{
    Frame f{.proto = 17, .payload = Bytes(roll(random, 64))};
    for (auto &b : f.payload)
        b = static_cast<std::uint8_t>(roll(random, 256));
    f.src = "10." + std::to_string(n >> 16 & 255) + "." + std::to_string(n >> 8 & 255) + "." +
            std::to_string(n & 255);
    f.dport = static_cast<std::uint16_t>(1 + roll(random, 65535));
    return build(f);
}

constexpr std::uint64_t allowed = 16 << 20; // of growth, whatever there is of flows

} // namespace

TEST_CASE("a flood of new flows is counted, in a table that stays as it is")
{
    constexpr unsigned size = 4096, between_sweeps = 3 * size / 2;
    Edpi edpi(size);
    Random random(21);
    std::uint64_t told = 0, unaccounted = 0;
    auto flows = edpi.flows_with([&](const json &r) {
        if (r["record"] == "unaccounted")
            unaccounted += r["packets"].get<std::uint64_t>();
        else
            told += r["packets"].get<std::uint64_t>() + r["packets_back"].get<std::uint64_t>();
        return true;
    });
    const std::uint32_t flood = flood_size();
    std::uint64_t before = 0;
    for (std::uint32_t n = 0; n < flood; ++n) {
        edpi.run(new_flow(random, n));
        REQUIRE(edpi.left(stage_at, NEXT) == 1);
        if (n % between_sweeps == 0)
            flows->sweep(edpi::now_ns() + 61'000'000'000);
        if (n == flood / 10)
            before = resident();
    }
    CHECK(resident() < before + allowed);
    flows->end_all("test");
    CHECK(told + unaccounted == flood);
    CHECK(told > flood / 2);
    CHECK(unaccounted > flood / 4);
}

TEST_CASE("a flood of new flows is inspected, as many at a time as there may be")
{
    constexpr std::size_t most = 1024;
    auto inspector = must(Inspector::make("", {}, most));
    Random random(22);
    const std::uint32_t flood = flood_size();
    std::vector<std::uint8_t> decided(flood);
    const auto note = [&](const std::vector<Inspector::Decided> &some) {
        for (const auto &d : some) {
            REQUIRE(d.id < flood);
            CHECK_FALSE(d.facts.details.dump().empty());
            decided[d.id] = static_cast<std::uint8_t>(decided[d.id] + d.final);
        }
    };
    std::uint64_t before = 0;
    for (std::uint32_t n = 0; n < flood; ++n) {
        const Bytes frame = new_flow(random, n);
        note(inspector->inspect(n, 17, std::span(frame).subspan(14), n / 100));
        REQUIRE(inspector->flows() <= most);
        if (n == flood / 10)
            before = resident();
    }
    CHECK(resident() < before + allowed);
    note(inspector->conclude_all());
    CHECK(std::all_of(decided.begin(), decided.end(), [](auto times) { return times == 1; }));
}
