// SPDX-License-Identifier: GPL-2.0-or-later
// edpi's accounting against a plain model: every packet that reached the stage is in exactly one
// record, whatever its kind, however full the table, whoever dies in between.
#include <linux/bpf.h>
#include <netinet/in.h>

#include <atomic>
#include <set>
#include <thread>

#include "support/edpi.hpp"
#include "vnfs/edpi/record.hpp"

using namespace evnf;
using namespace evnf::test;

namespace
{

constexpr std::uint64_t second = 1'000'000'000;

std::uint64_t packets_of(const Accounts &accounts)
{
    std::uint64_t sum = 0;
    for (const auto &[name, c] : accounts)
        sum += c.packets[0] + c.packets[1];
    return sum;
}

// Runs it; in the accounts if it has reached the stage.
bool run_into(Edpi &edpi, Accounts &accounts, const Bytes &packet)
{
    if (packet.size() < 14)
        return false;
    const Ran ran = edpi.run(packet);
    if (edpi.left(stage_at, NEXT) == 0)
        return false;
    account(accounts, ran.seen);
    return true;
}

} // namespace

TEST_CASE("every packet is counted for its flow, in its direction")
{
    Edpi edpi(32768);
    Accounts want, have;
    Random random(11);
    auto flows = edpi.flows_with([&](const json &r) {
        account(have, r);
        return true;
    });
    std::set<unsigned> kinds;
    for (int i = 0; i < 20000; ++i) {
        const Bytes packet = any_packet(random, 4);
        if (packet.size() < 14)
            continue;
        const Ran ran = edpi.run(packet);
        if (edpi.left(stage_at, NEXT) == 0)
            continue;
        account(want, ran.seen);
        kinds.insert(ran.seen.l4);
    }
    CHECK(kinds.size() == 6); // of enum pkt_l4: all
    CHECK(packets_of(want) > 15000);
    CHECK(flows->table().unaccounted().packets == 0);
    flows->end_all("test");
    CHECK(have == want);
}

TEST_CASE("a full table loses the accounting of what is new, which is counted, and no packet")
{
    constexpr unsigned size = 64;
    Edpi edpi(1024);
    // Few slots are offered: the table is made full.
    auto offered = must(bpf::Map<__u32, edpi_book>::bind(edpi.maps, "edpi_books"));
    must(offered.put(0, edpi_book{.offered = 1024 - size, .unaccounted = {}}));
    Accounts want, have;
    counter unaccounted{};
    auto flows = edpi.flows_with([&](const json &r) {
        if (r["record"] == "unaccounted") {
            unaccounted.packets += r["packets"].get<std::uint64_t>();
            unaccounted.bytes += r["bytes"].get<std::uint64_t>();
        } else {
            account(have, r);
        }
        return true;
    });
    Random random(12);
    std::uint64_t packets = 0, bytes = 0;
    for (int i = 0; i < 4000; ++i) {
        const Bytes packet = any_packet(random, 6);
        if (!run_into(edpi, want, packet))
            continue;
        ++packets;
        bytes += packet.size();
        if (roll(random, 1000) == 0)
            flows->end_all("test"); // there is room again
    }
    flows->end_all("test");
    std::uint64_t in_flows = 0, their_bytes = 0;
    for (const auto &[name, c] : have) {
        in_flows += c.packets[0] + c.packets[1];
        their_bytes += c.bytes[0] + c.bytes[1];
        CHECK(want.contains(name));
    }
    CHECK(unaccounted.packets > 100);
    CHECK(in_flows > 500);
    CHECK(in_flows + unaccounted.packets == packets);
    CHECK(their_bytes + unaccounted.bytes == bytes);
}

namespace
{

struct Death {
};

} // namespace

TEST_CASE("each packet is in one record through time-outs, full sinks and deaths of the daemon")
{
    constexpr unsigned size = 8192;
    Edpi edpi(size);
    Accounts want, have;
    Random random(13);
    unsigned refused = 0, deaths = 0;
    std::map<std::string, unsigned> ends;
    const auto sink = [&](const json &r) {
        REQUIRE(r["record"] == "flow"); // there is room for all
        switch (roll(random, 200)) {
        case 0:
            ++refused;
            return false;
        case 1:
            ++deaths;
            throw Death();
        default:
            break;
        }
        account(have, r);
        ++ends[r["end"]];
        return true;
    };
    auto flows = edpi.flows_with(sink);
    for (int i = 0; i < 12000; ++i) {
        run_into(edpi, want, any_packet(random, 4));
        if (roll(random, 100))
            continue;
        try {
            // What has been silent for so long at that time; or has gone on for long.
            flows->sweep(edpi::now_ns() + roll(random, 2) * 61 * second);
            if (roll(random, 10) == 0)
                flows = edpi.flows_with(sink);
        } catch (const Death &) {
            flows = edpi.flows_with(sink);
        }
    }
    flows = edpi.flows_with([&](const json &r) {
        account(have, r);
        return true;
    });
    flows->sweep(edpi::now_ns());
    flows->end_all("test");
    CHECK(refused > 5);
    CHECK(deaths > 5);
    CHECK(ends["idle"] > 100);
    CHECK(ends["restart"] > 5);
    CHECK(have == want);
    CHECK(flows->load().used == 0);
    // No slot is lost over all that.
    Accounts more;
    for (unsigned i = 0; i < size; ++i)
        REQUIRE(run_into(
            edpi, more,
            build({.src = "10.0." + std::to_string(i / 256) + "." + std::to_string(i % 256)})));
    CHECK(flows->load().used == size);
    CHECK(flows->table().unaccounted().packets == 0);
}

TEST_CASE("a flow that goes on has records of what came since the one before")
{
    Edpi edpi(1024, {{"active", 10}, {"idle", 1000}});
    std::vector<json> records;
    auto flows = edpi.flows_with([&](const json &r) {
        records.push_back(r);
        return true;
    });
    const auto packets = [&](int n) {
        for (int i = 0; i < n; ++i)
            edpi.run(build({}));
    };
    const auto start = edpi::now_ns();
    packets(3);
    flows->sweep(start + 11 * second);
    packets(2);
    flows->end_all("test");
    REQUIRE(records.size() == 2);
    CHECK(records[0]["end"] == "active");
    CHECK(records[0]["packets"] == 3);
    CHECK(records[1]["end"] == "test");
    CHECK(records[1]["packets"] == 2);
    CHECK(records[0]["id"] == records[1]["id"]);
}

TEST_CASE("a flow whose copies nobody has read is copied again for the next daemon")
{
    Edpi edpi(1024, {{"tcp_packets", 3}});
    const auto sink = [](const json &) { return true; };
    auto flows = edpi.flows_with(sink);
    const auto slot = edpi.slot_of(edpi.run(build({})).seen);
    const auto copied = [&] {
        for (int i = 0; i < 10; ++i)
            edpi.run(build({}));
        return flows->table().flow(slot).copied;
    };
    CHECK(copied() == 4); // one more than nDPI has: it gives up then
    CHECK(copied() == 4);
    flows = edpi.flows_with(sink);
    CHECK(flows->table().flow(slot).copied == 0);
    CHECK(copied() == 4);
    CHECK(flows->table().flow(slot).packets[0] + flows->table().flow(slot).packets[1] == 31);
    flows->end_all("test");
}

TEST_CASE("two CPUs lose no packet of a flow that ends meanwhile")
{
    Edpi edpi(1024);
    std::atomic<std::uint64_t> exported = 0, unaccounted = 0;
    auto flows = edpi.flows_with([&](const json &r) {
        if (r["record"] == "unaccounted")
            unaccounted += r["packets"].get<std::uint64_t>();
        else
            exported += r["packets"].get<std::uint64_t>() + r["packets_back"].get<std::uint64_t>();
        return true;
    });
    const int root = edpi.root_program();
    std::atomic<unsigned> running = 2;
    std::atomic<std::uint64_t> sent = 0;
    const auto send = [&](unsigned cpu) {
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(cpu % std::thread::hardware_concurrency(), &one);
        ::sched_setaffinity(0, sizeof one, &one);
        Random random(cpu);
        for (int i = 0; i < 400; ++i) {
            // The same flows from both, in both directions.
            Frame f{.sport = static_cast<std::uint16_t>(1024 + roll(random, 4))};
            if (roll(random, 2)) {
                std::swap(f.src, f.dst);
                std::swap(f.sport, f.dport);
            }
            const Bytes in = build(f);
            LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = in.data(),
                        .data_size_in = static_cast<__u32>(in.size()), .repeat = 500);
            if (bpf_prog_test_run_opts(root, &o) == 0)
                sent += 500;
        }
        --running;
    };
    std::thread a(send, 0), b(send, 1);
    unsigned ended = 0;
    for (; running; ++ended)
        flows->end_all("test");
    a.join();
    b.join();
    flows->end_all("test");
    CHECK(ended > 10);
    CHECK(sent == 400000);
    CHECK(exported + unaccounted == sent);
    CHECK(unaccounted == 0);
}

TEST_CASE("a mirror's packets are accounted, and end here")
{
    Edpi edpi(1024, {{"mode", "capture"}});
    auto flows = edpi.flows_with([](const json &) { return true; });
    CHECK(edpi.run(build({})).verdict == XDP_DROP);
    CHECK(edpi.left(stage_at, EDPI_DROP_CAPTURED) == 1);
    CHECK(flows->load().used == 1);
}
