// SPDX-License-Identifier: GPL-2.0-or-later
// How edpi's packets find their flows: a line is believed as far as it is right, and each CPU's
// packets count.
#include <linux/bpf.h>
#include <netinet/in.h>

#include <algorithm>
#include <thread>

#include "support/edpi.hpp"

using namespace evnf;
using namespace evnf::test;

namespace
{

constexpr unsigned room = 1024;

// Of few flows that differ in one thing or two, so that one taken for another shows.
Bytes alike(Random &random)
{
    // The second is, in the table, what the first of IPv4 is but for the family.
    static const std::vector<std::string> nets{"192.0.2.", "::ffff:192.0.2.",
                                               "2001:db8::", "2001:db8:1::", "2001:db8:0:1::"};
    const auto from = roll(random, 2) ? roll(random, 2) : 1 + roll(random, 4);
    const auto to = from == 0 ? 0 : 1 + (roll(random, 2) ? 0 : roll(random, 4));
    Frame f{.src = nets[from] + "1", .dst = nets[to] + "2", .sport = 1000, .dport = 1001};
    switch (roll(random, 10)) {
    case 0:
        f.dst = nets[to] + "3";
        break;
    case 1:
        f.sport = 1002;
        break;
    case 2:
        f.dport = 1002;
        break;
    case 3:
        f.proto = IPPROTO_UDP;
        break;
    case 4:
        f.vlans = {1};
        break;
    case 5:
        f.vlans = {2};
        break;
    case 6:
        f.vlans = {2, 1};
        break;
    case 7: // nobody knows its ports
        f.frag = from == 0 ? 100 : 0;
        break;
    case 8: // all have none
        f.sport = f.dport = 0;
        break;
    default:
        break;
    }
    f.payload = Bytes(roll(random, 100), 0x5a);
    if (roll(random, 2)) {
        std::swap(f.src, f.dst);
        std::swap(f.sport, f.dport);
    }
    return build(f);
}

class Lines : public Edpi
{
public:
    Lines() : Edpi(room), table_(must(bpf::Map<__u32, edpi_line>::bind(maps, "edpi_lines"))) {}

    // As packets of others would have left it that have had the slot before, or the line.
    void mislead(const pkt &p, std::uint32_t slot)
    {
        const std::uint64_t hash = pkt_hash_of(&p);
        edpi_line line{};
        for (auto &way : line.way)
            way = EDPI_WAY(hash, slot);
        must(table_.put(place(hash), line));
    }
    // Which slot the packet's line has for it.
    std::optional<std::uint32_t> remembered(const pkt &p)
    {
        const std::uint64_t hash = pkt_hash_of(&p);
        const auto line = table_.get(place(hash));
        REQUIRE(line);
        for (const auto way : line->way)
            if (way && way >> 32 == static_cast<std::uint32_t>(hash))
                return static_cast<std::uint32_t>(way) - 1;
        return std::nullopt;
    }

private:
    static constexpr __u32 lines = room * EDPI_LINE_ROOM / EDPI_LINE_WAYS;
    // As bpf/lib/lines.h has it.
    static __u32 place(std::uint64_t hash)
    {
        return static_cast<__u32>((hash >> 32) * lines >> 32);
    }
    bpf::Map<__u32, edpi_line> table_;
};

} // namespace

TEST_CASE("a line that has another's slot is not believed")
{
    Lines edpi;
    Random random(31);
    std::map<std::uint32_t, FlowCounts> want; // by slot
    std::vector<std::uint32_t> used;
    unsigned right = 0, packets = 0, most = 0;
    auto flows = edpi.flows_with([](const json &) { return true; });
    const auto end_all = [&] {
        for (const auto &[slot, counts] : want) {
            const auto have = flows->table().counts(slot);
            const bool same = std::ranges::equal(have.packets, counts.packets) &&
                              std::ranges::equal(have.bytes, counts.bytes);
            CHECK(same);
        }
        most = std::max(most, static_cast<unsigned>(want.size()));
        want.clear();
        flows->end_all("test"); // from now on a slot is another's, or nobody's
    };
    for (int i = 0; i < 10000; ++i) {
        const Bytes packet = alike(random);
        const Ran ran = edpi.run(packet);
        if (edpi.left(stage_at, NEXT) == 0)
            continue;
        ++packets;
        const auto slot = edpi.slot_of(ran.seen), from = edpi_end_of(&ran.seen.flow);
        ++want[slot].packets[from];
        want[slot].bytes[from] += ran.seen.len;
        right += edpi.remembered(ran.seen) == slot; // also after a wrong one
        used.push_back(slot);
        if (roll(random, 2))
            edpi.mislead(ran.seen, used[roll(random, static_cast<unsigned>(used.size()))]);
        if (roll(random, 1000) == 0)
            end_all();
    }
    end_all();
    CHECK(most > 100);
    CHECK(right == packets);
}

TEST_CASE("packets of one direction from two CPUs are of one flow, and none of its slot's next")
{
    Edpi edpi(1024);
    std::vector<json> records;
    auto flows = edpi.flows_with([&](const json &r) {
        records.push_back(r);
        return true;
    });
    const int root = edpi.root_program();
    const auto send = [&](unsigned cpu, const Frame &f, int packets) {
        std::thread([&] {
            cpu_set_t one;
            CPU_ZERO(&one);
            CPU_SET(cpu % std::thread::hardware_concurrency(), &one);
            REQUIRE(::sched_setaffinity(0, sizeof one, &one) == 0);
            const Bytes in = build(f);
            LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = in.data(),
                        .data_size_in = static_cast<__u32>(in.size()), .repeat = packets);
            REQUIRE(bpf_prog_test_run_opts(root, &o) == 0);
        }).join();
    };
    const auto bytes = [](std::uint64_t packets) { return packets * build({}).size(); };
    const auto back = [] {
        Frame f;
        std::swap(f.src, f.dst);
        std::swap(f.sport, f.dport);
        return f;
    };
    send(0, {}, 3);
    send(1, {}, 5);
    send(1, back(), 7);
    send(0, back(), 11);
    flows->end_all("test");
    REQUIRE(records.size() == 1);
    CHECK(records[0]["packets"] == 8);
    CHECK(records[0]["bytes"] == bytes(8));
    CHECK(records[0]["packets_back"] == 18);
    CHECK(records[0]["bytes_back"] == bytes(18));
    // All slots in turn, so that one has had the flow before.
    for (unsigned i = 0; i < 1024; ++i)
        edpi.run(build({.src = "10.0." + std::to_string(i / 256) + "." + std::to_string(i % 256)}));
    flows->end_all("test");
    REQUIRE(records.size() == 1025);
    for (std::size_t i = 1; i < records.size(); ++i)
        CHECK((records[i]["packets"] == 1 && records[i]["packets_back"] == 0));
}
