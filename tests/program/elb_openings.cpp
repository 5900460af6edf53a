// SPDX-License-Identifier: GPL-2.0-or-later
// The table of connections that are opening: who is in it, who makes room, what goes over to one
// of another size.
#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>

#include "support/elb_connected.hpp"
#include "vnfs/elb/connections.hpp"
#include "vnfs/elb/flow_hash.h"
#include "vnfs/elb/openings.hpp"

using namespace evnf;
using namespace evnf::test;

namespace
{

using FlowBytes = std::array<std::byte, sizeof(flow_key)>;
using Openings = std::map<FlowBytes, elb_opening>;

FlowBytes bytes_of(const flow_key &key)
{
    FlowBytes out;
    std::memcpy(out.data(), &key, sizeof key);
    return out;
}

FlowBytes key_of(const Frame &f)
{
    flow_key key{};
    key.saddr = must(Address::parse(f.src)).raw();
    key.daddr = must(Address::parse(f.dst)).raw();
    key.sport = htons(f.sport);
    key.dport = htons(f.dport);
    key.proto = IPPROTO_TCP;
    key.family = 4;
    return bytes_of(key);
}

class Table : public Connected
{
public:
    Table() { configure({service(vip, 80, "tcp", servers(4))}, 1024); }

    static Openings entries(int fd)
    {
        Openings out;
        const auto table = must(elb::OpeningSets::bind(fd));
        const __u32 sets = must(bpf::entries_of(fd));
        for (__u32 i = 0; i < sets; ++i) {
            const auto set = *table.get(i);
            for (int way = 0; way < ELB_OPENING_WAYS; ++way) {
                if (!set.tags[way])
                    continue;
                const auto &[key, opening, pad] = set.entries[way];
                const __u32 hash = flow_hash(&key);
                CHECK(opening_set_of(hash, sets) == i);
                CHECK(opening_tag_of(hash) == set.tags[way]);
                CHECK(out.emplace(bytes_of(key), opening).second); // each once
            }
        }
        return out;
    }
    [[nodiscard]] int table() const { return must(maps.fd("elb_openings")); }
    [[nodiscard]] unsigned room() const
    {
        return must(bpf::entries_of(table())) * ELB_OPENING_WAYS;
    }
    // The nth of flows that are all different.
    static Frame flow(unsigned n)
    {
        return to_vip("198.51." + std::to_string(n >> 8 & 255) + "." + std::to_string(n & 255),
                      1024 + (n >> 16));
    }
};

} // namespace

TEST_CASE_METHOD(Table, "a flood fills the table, and the oldest make room")
{
    const unsigned flows = 6 * room(), newest = room() / 4;
    std::vector<FlowBytes> last;
    for (unsigned n = 0; n < flows; ++n) {
        run(build(flow(n)));
        if (n >= flows - newest)
            last.push_back(key_of(flow(n)));
    }
    const auto all = entries(table());
    CHECK(all.size() == room());
    // Hardly any set has had as many as it has ways since.
    const auto known =
        std::count_if(last.begin(), last.end(), [&](const auto &key) { return all.contains(key); });
    CHECK(known * 100 > newest * 99);
}

TEST_CASE_METHOD(Table, "flows of the same set and tag are told apart")
{
    std::map<__u32, unsigned> hashes;
    unsigned pairs = 0;
    for (unsigned n = 0; n < 400'000; ++n) {
        flow_key key{};
        std::memcpy(&key, key_of(flow(n)).data(), sizeof key);
        const auto [known, fresh] = hashes.emplace(opening_tag_of(flow_hash(&key)), n);
        if (fresh)
            continue;
        ++pairs;
        run(build(flow(known->second)));
        run(build(flow(n)));
        const auto all = entries(table());
        CHECK(all.contains(key_of(flow(known->second))));
        CHECK(all.contains(key_of(flow(n))));
    }
    CHECK(pairs > 5);
}

TEST_CASE_METHOD(Table, "who is found again is spared")
{
    constexpr unsigned spared = 50;
    const unsigned flows = 6 * room();
    for (unsigned n = 0; n < flows; ++n) {
        run(build(flow(n)));
        if (n % (room() / 4) == spared)
            for (unsigned k = 0; k < spared; ++k)
                run(build(flow(k)));
    }
    const auto all = entries(table());
    for (unsigned k = 0; k < spared; ++k)
        CHECK(all.contains(key_of(flow(k))));
}

TEST_CASE_METHOD(Table, "a table of another size has the same entries")
{
    for (unsigned n = 0; n < room() / 4; ++n)
        run(build(flow(n)));
    const auto all = entries(table());
    CHECK(all.size() == room() / 4);
    for (const __u32 sets : {512U, 8192U}) {
        const Fd other(bpf_map_create(BPF_MAP_TYPE_ARRAY, "other", sizeof(__u32),
                                      sizeof(elb_opening_set), sets, nullptr));
        REQUIRE(other);
        must(elb::carry_openings(table(), other.get()));
        must(elb::carry_openings(table(), other.get())); // once more, as when it is committed
        const auto carried = entries(other.get());
        CHECK(carried.size() * 100 > all.size() * 99);
        for (const auto &[key, opening] : carried) {
            REQUIRE(all.contains(key));
            CHECK(std::memcmp(&all.at(key), &opening, sizeof opening) == 0);
        }
    }
}

TEST_CASE_METHOD(Table, "a table of before is taken over, of whichever layout")
{
    for (const auto &[version, size] : {std::pair{2U, 32U}, {3U, sizeof(elb_opening)}}) {
        const Fd old(
            bpf_map_create(BPF_MAP_TYPE_LRU_HASH, "old", sizeof(flow_key), size, 4096, nullptr));
        const Fd table(bpf_map_create(BPF_MAP_TYPE_ARRAY, "new", sizeof(__u32),
                                      sizeof(elb_opening_set), 1024, nullptr));
        REQUIRE(old);
        REQUIRE(table);
        Openings wanted;
        for (unsigned n = 0; n < 500; ++n) {
            elb_opening opening{};
            opening.addr = must(Address::parse("10.0.2.11")).raw();
            opening.port = htons(8080);
            opening.backend = static_cast<__u16>(n);
            opening.seen = 1000 + n;
            const auto key = key_of(flow(n));
            REQUIRE(bpf_map_update_elem(old.get(), key.data(), &opening, BPF_ANY) == 0);
            wanted[key] = opening;
        }
        must(elb::migrate_connections(version, "elb_openings", old.get(), table.get()));
        const auto got = entries(table.get());
        CHECK(got.size() == wanted.size());
        for (const auto &[key, opening] : got)
            CHECK(std::memcmp(&wanted[key], &opening, sizeof opening) == 0);
    }
}
