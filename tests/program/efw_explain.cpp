// SPDX-License-Identifier: GPL-2.0-or-later
// What the fast path decides about frames made of packets, against the plain evaluator that
// explains rules without a kernel. EVNF_PACKETS (100,000) says about how many.
#include <catch2/catch.hpp>
#include <net/if.h>

#include <arpa/inet.h>

#include <map>
#include <set>

#include "abi/match.h"
#include "support/chain.hpp"
#include "support/efw_universe.hpp"
#include "support/environment.hpp"
#include "support/interfaces.hpp"
#include "vnfs/efw/explain/frame.hpp"
#include "vnfs/efw/explain/look.hpp"
#include "vnfs/efw/explain/rehearsal.hpp"
#include "vnfs/efw/offload/watcher.hpp"

using namespace evnf;
using namespace evnf::efw;
using test::must;

namespace
{

constexpr std::size_t of_each = 400; // packets for each ruleset
const std::set<std::string> bad{"10.0.0.1", "10.0.0.3", "2001:db8::1", "2001:db8::4"};
const std::set<std::uint16_t> open_ports{1, 3};

void make_interfaces()
{
    REQUIRE(::unshare(CLONE_NEWNET) == 0);
    for (const std::string name : {"en", "eth0", "eth1", "eth2"})
        test::sh("ip link add " + name + " type veth peer name " + name + "-");
}

// Those that can be written, each once.
json written(const std::vector<Rule> &rules)
{
    std::set<std::string> out;
    for (const auto &rule : rules) {
        const std::string text = text_of(rule);
        if (auto read = parse_rule(text); read && *read == rule)
            out.insert(text);
    }
    return out;
}

json section_of(const json &rules, efw_action otherwise)
{
    return must(find_vnf("efw")->check(
        {{"default", action_text(otherwise)},
         {"rules", rules},
         {"sets", {{"bad", {{"type", "addr"}}}, {"open", {{"type", "port"}}}}}},
        nullptr));
}

// A fast path in force, whose named sets have elements.
class Running
{
public:
    Running()
        : fast_path_(
              must(find_vnf("efw")->load(maps_, section_of(json::array(), EFW_SLOW), nullptr)))
    {
        auto elements = must(bpf::Map<match_set_element, __u32>::bind(maps_, "match_sets"));
        auto lengths = must(bpf::Map<__u32, match_set_lengths>::bind(maps_, "match_set_lengths"));
        must(lengths.put(0, {{0, 0, 1}})); // whole addresses
        for (const auto &text : bad)
            must(elements.put({.addr = must(Address::parse(text)).raw(), .set = 0, .length = 128},
                              0));
        for (const auto port : open_ports)
            must(elements.put({.port = htons(port), .set = 1}, 0));
    }
    LiveSets sets() const
    {
        return {must(maps_.fd("match_sets")), must(maps_.fd("match_set_lengths"))};
    }

    // With an offload that holds, for frames of frame_of().
    efw::Live offloading(std::shared_ptr<const offload::Plan> plan) const
    {
        auto links = must(bpf::Map<__u32, efw_link>::bind(maps_, "efw_offload_links"));
        for (const auto *name : {"en", "eth0", "eth1", "eth2"})
            must(links.put(::if_nametoindex(name), {{0x02, 0, 0, 0, 0, 0x01}, {}}));
        lease(~0ULL, must(offload::nft_generation()));
        return {sets(), std::move(plan), must(maps_.fd("efw_offload")),
                must(maps_.fd("efw_offload_links"))};
    }
    void lease(std::uint64_t until, std::uint32_t generation) const
    {
        auto state = must(bpf::Map<__u32, efw_offload>::bind(maps_, "efw_offload"));
        must(state.put(0, {until, generation, 0}));
    }

private:
    bpf::MapSet maps_{""};
    std::unique_ptr<FastPath> fast_path_;
};

// In which of the used sets a packet is, of all those that all_packets() thinks of.
void settle(Packet &p, const std::vector<SectionRule> &rules)
{
    std::set<match::SetUse> used;
    for (const auto &r : rules)
        for (const auto &use : r.rule.match.sets)
            used.insert({use.key, use.set, false});
    p.sets.clear();
    for (const auto &use : used) {
        const bool in = use.key == match::SetKey::saddr ? bad.contains(p.src.text())
                        : use.key == match::SetKey::daddr
                            ? bad.contains(p.dst.text())
                            : has_ports(p.transport()) && open_ports.contains(p.dport);
        if (in)
            p.sets.push_back(use);
    }
}

// A plan of some rules, whose sources do not matter here.
std::shared_ptr<const offload::Plan> plan_of(const std::vector<Rule> &rules)
{
    auto out = std::make_shared<offload::Plan>();
    for (const auto &r : rules)
        if (!r.limit && r.match.sets.empty() && r.action <= EFW_SLOW)
            out->decisions.push_back({.rule = r, .counts = {}});
    return out;
}

// What must become of a packet that no rule of efw's own decides, as offload/plan.hpp has it.
Decision by_plan(const offload::Plan &plan, const Packet &p, Decision out)
{
    for (std::uint32_t i = 0; i < plan.decisions.size(); ++i) {
        const Seen seen = look(plan.decisions[i].rule.match, p);
        if (seen == Seen::no)
            continue;
        const auto action = plan.decisions[i].rule.action;
        const bool no_next_header = p.family() == 6 && p.protocol == IPPROTO_NONE;
        const bool plain = !p.in.empty() && !p.vlan && p.fragment == PKT_FRAG_NONE &&
                           p.header == Header::whole && !no_next_header;
        out.rule = std::nullopt;
        out.offloaded = i;
        if (seen == Seen::unseen)
            out.reason = p.fragment == PKT_FRAG_NONE ? SLOW_L4_UNKNOWN : SLOW_FRAGMENT;
        else if (action == EFW_SLOW || !plain)
            out.reason = EFW_SLOW_OFFLOAD;
        else
            out.reason = action == EFW_ACCEPT ? EFW_NEXT_OFFLOAD : EFW_DROP_OFFLOAD;
        return out;
    }
    return out;
}

} // namespace

TEST_CASE("the program and the evaluator decide alike about every packet")
{
    make_interfaces();
    const Running running;
    universe::Random random(21);
    std::size_t checks = 0;
    std::set<unsigned> reasons;
    const std::size_t enough = test::environment("EVNF_PACKETS", 100'000);
    while (checks < enough) {
        const auto fields = universe::any_fields(random, 1 + universe::below(random, 3));
        const auto otherwise =
            std::array{EFW_ACCEPT, EFW_DROP, EFW_SLOW}[universe::below(random, 3)];
        const json section = section_of(
            written(universe::any_rules(random, fields, 2 + universe::below(random, 12))),
            otherwise);
        auto rehearsal = must(Rehearsal::load(section, {running.sets()}));
        std::vector<Rule> rules;
        for (const auto &r : rehearsal.rules())
            rules.push_back(r.rule);
        auto packets = universe::all_packets(fields);
        std::shuffle(packets.begin(), packets.end(), random);
        packets.resize(std::min(packets.size(), of_each));
        for (auto &p : packets) {
            settle(p, rehearsal.rules());
            INFO(section["rules"].dump(1) << "\n" << text_of(p));
            const auto frame = must(frame_of(p));
            const Arrival in{p.in, p.in.empty() ? 1 : ::if_nametoindex(p.in.c_str())};
            const Outcome outcome = must(rehearsal.run(frame, in));
            REQUIRE(outcome.met);
            REQUIRE(outcome.packet);
            REQUIRE(text_of(*outcome.packet) == text_of(p));
            const Decision plain = evaluate(rules, otherwise, p);
            REQUIRE(outcome.decision.reason == plain.reason);
            REQUIRE(outcome.decision.counted == plain.counted);
            REQUIRE(outcome.decision.limits == plain.limits);
            REQUIRE(outcome.decision.rule == plain.rule);
            reasons.insert(plain.reason);
            ++checks;
        }
    }
    CHECK(reasons.contains(SLOW_FRAGMENT));
    CHECK(reasons.contains(SLOW_L4_UNKNOWN));
    CHECK(reasons.contains(NEXT));
}

TEST_CASE("an offload's decisions are explained as the program takes them")
{
    make_interfaces();
    const Running running;
    universe::Random random(22);
    std::map<unsigned, std::size_t> reasons;
    const std::size_t enough = test::environment("EVNF_PACKETS", 100'000) / 5;
    for (std::size_t checks = 0; checks < enough;) {
        const auto fields = universe::any_fields(random, 1 + universe::below(random, 3));
        const json section = section_of(
            written(universe::any_rules(random, fields, universe::below(random, 4))), EFW_SLOW);
        std::vector<Rule> theirs; // flags, say, are only asked of TCP
        for (const json &text : written(universe::any_rules(random, fields, 16)))
            theirs.push_back(must(parse_rule(text.get<std::string>())));
        const auto plan = plan_of(theirs);
        const auto live = running.offloading(plan);
        auto rehearsal = must(Rehearsal::load(section, live));
        std::vector<Rule> rules;
        for (const auto &r : rehearsal.rules())
            rules.push_back(r.rule);
        auto packets = universe::all_packets(fields);
        std::shuffle(packets.begin(), packets.end(), random);
        packets.resize(std::min(packets.size(), of_each));
        for (auto &p : packets) {
            settle(p, rehearsal.rules());
            INFO(section["rules"].dump(1) << "\n" << text_of(p));
            for (const auto &d : plan->decisions)
                UNSCOPED_INFO("plan: " << text_of(d.rule));
            Decision wanted = evaluate(rules, EFW_SLOW, p);
            if (wanted.rule == rules.size())
                wanted = by_plan(*plan, p, std::move(wanted));
            const auto frame = must(frame_of(p));
            const Arrival in{p.in, p.in.empty() ? 1 : ::if_nametoindex(p.in.c_str())};
            const Decision got = must(rehearsal.run(frame, in)).decision;
            REQUIRE(got.reason == wanted.reason);
            REQUIRE(got.rule == wanted.rule);
            REQUIRE(got.offloaded == wanted.offloaded);
            REQUIRE(got.counted == wanted.counted);
            ++reasons[got.reason];
            ++checks;
        }
    }
    for (const auto reason : {EFW_NEXT_OFFLOAD, EFW_DROP_OFFLOAD, EFW_SLOW_OFFLOAD})
        CHECK(reasons[reason] > enough / 200);
}

TEST_CASE("the copy's offload holds as long as that in force")
{
    make_interfaces();
    const Running running;
    const auto plan = plan_of({must(parse_rule("udp dport 9 drop"))});
    auto rehearsal =
        must(Rehearsal::load(section_of(json::array(), EFW_SLOW), running.offloading(plan)));
    const auto frame = must(frame_of(must(parse_packet("udp 192.0.2.1:1 > 192.0.2.2:9 in eth0"))));
    const auto reason = [&] {
        const auto outcome = must(rehearsal.run(frame, {"eth0", ::if_nametoindex("eth0")}));
        CHECK(outcome.decision.offloaded == 0U);
        return outcome.decision.reason;
    };
    const auto generation = must(offload::nft_generation());
    CHECK(reason() == EFW_DROP_OFFLOAD);
    running.lease(0, generation);
    CHECK(reason() == EFW_SLOW_STALE);
    running.lease(~0ULL, generation);
    CHECK(reason() == EFW_DROP_OFFLOAD);
    if (!offload::kernel_shows_generation())
        return;
    test::sh("nft add table inet another");
    CHECK(reason() == EFW_SLOW_STALE);
}
