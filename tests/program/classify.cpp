// SPDX-License-Identifier: GPL-2.0-or-later
// classify's fast path: which way a packet goes, against a plain model, and that all
// fragments of a datagram go one way.
#include <catch2/catch.hpp>

#include <linux/bpf.h>
#include <netinet/in.h>

#include <set>

#include "classify.skel.h"
#include "support/chain.hpp"
#include "support/interfaces.hpp"
#include "support/packets.hpp"
#include "support/stage_bench.hpp"
#include "vnfs/classify/abi.h"
#include "vnfs/vnf.hpp"

using namespace evnf;
using namespace evnf::test;
namespace model = evnf::efw::model;

namespace
{

json section_of(const std::vector<std::string> &rules)
{
    return must(find_vnf("classify")->check({{"rules", rules}}, nullptr));
}

// All different, and none that matches everything: classify refuses those.
std::vector<efw::Rule> any_conditions(model::Random &random)
{
    std::vector<efw::Rule> out;
    std::set<std::string> seen{""};
    const std::size_t n = model::below(random, CLASSIFY_MAX_RULES + 1);
    while (out.size() < n) {
        efw::Rule r;
        r.match = model::any_match(random);
        if (seen.insert(match::text_of(r.match)).second)
            out.push_back(r);
    }
    return out;
}

// The number of the rule that decides. What cannot be seen does not match.
unsigned decide(const std::vector<efw::Rule> &rules, const pkt &p, const model::World &world)
{
    for (unsigned i = 0; i < rules.size(); ++i)
        if (model::look(rules[i].match, p, world) == model::Seen::yes)
            return i;
    return CLASSIFY_MAX_RULES;
}

} // namespace

TEST_CASE("a packet goes the way of the first rule that matches")
{
    model::Random random(21);
    const model::World world{test_interfaces(), {}};
    StageBench bench("classify", section_of({}));
    std::array<unsigned, CLASSIFY_MAX_RULES + 1> ways{};
    unsigned ran = 0, passed_over = 0;
    for (int round = 0; round < 1000; ++round) {
        const auto rules = any_conditions(random);
        std::vector<std::string> texts;
        for (const auto &r : rules)
            texts.push_back(match::text_of(r.match));
        const json section = section_of(texts);
        must(bench.fast_path().apply(section));
        for (int i = 0; i < 20; ++i, ++ran) {
            const pkt p = model::any_packet(random, rules, world);
            const unsigned way = decide(rules, p, world);
            INFO("round " << round << " packet " << i << ": " << section.dump());
            bench.check_packet(VNF_REASON(VERDICT_NEXT, way), p);
            ++ways[way];
            for (unsigned before = 0; before < std::min<std::size_t>(way, rules.size()); ++before)
                passed_over += model::look(rules[before].match, p, world) == model::Seen::unseen;
        }
    }
    CHECK(ran == 20000);
    CHECK(bench.packets() == ran); // and counted nowhere else
    for (const unsigned n : ways)
        CHECK(n > 50);
    CHECK(passed_over > 1000); // by rules that ask for what could not be seen
}

TEST_CASE("all fragments of a datagram go the same way")
{
    ChainFixture chain;
    const json section = section_of({"udp dport 53", "udp sport 1024", "udp", "ip6"});
    const auto classify = must(find_vnf("classify")->load(chain.maps, section, nullptr));
    chain.add_stage(classify->program());
    auto way = [&](const Frame &f, unsigned reason) {
        const Ran ran = chain.run(build(f));
        INFO("reason " << reason << ", l4 " << unsigned{ran.seen.l4} << ", frag "
                       << unsigned{ran.seen.frag});
        CHECK(chain.left(stage_at, reason) == 1);
    };
    constexpr std::uint16_t more = 0x2000, later = 185; // of IPv4; IPv6's is offset << 3 | M
    way({.proto = IPPROTO_UDP, .dport = 53}, CLASSIFY_NEXT_0);
    way({.proto = IPPROTO_UDP, .dport = 54}, CLASSIFY_NEXT_1);
    for (const std::uint16_t frag : {more, later})
        way({.frag = frag, .proto = IPPROTO_UDP, .dport = 53}, CLASSIFY_NEXT_2);
    way({.frag = later, .proto = IPPROTO_TCP}, CLASSIFY_OTHERWISE);

    Frame v6{.src = "2001:db8::1", .dst = "2001:db8::2", .proto = IPPROTO_UDP, .dport = 53};
    way(v6, CLASSIFY_NEXT_0);
    for (const int frag : {1, later << 3 | 1, later << 3}) {
        v6.ext = {{IPPROTO_FRAGMENT, 8, static_cast<std::uint16_t>(frag)}};
        way(v6, CLASSIFY_NEXT_2);
    }
    // Extension headers that cannot be read to their end hide the protocol.
    v6.ext = std::vector<ExtHeader>(PKT_MAX_EXTHDRS + 1, ExtHeader{IPPROTO_DSTOPTS});
    way(v6, CLASSIFY_NEXT_3);
}

TEST_CASE("without a ruleset nothing goes on")
{
    ChainFixture chain;
    const auto classify = must(bpf::Skeleton<classify_bpf>::load(chain.maps));
    chain.add_stage(ChainFixture::program(classify->progs.classify));
    CHECK(chain.run(build({})).verdict == XDP_DROP);
    CHECK(chain.left(stage_at, CLASSIFY_DROP_NO_TABLES) == 1);
}
