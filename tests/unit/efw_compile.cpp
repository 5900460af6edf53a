// SPDX-License-Identifier: GPL-2.0-or-later
// The compiled tables, read in the plainest way, against a linear model.
#include <catch2/catch.hpp>

#include <algorithm>
#include <bit>

#include "match/compile.hpp"
#include "support/efw_model.hpp"

using namespace evnf;
using namespace evnf::efw;

namespace
{

// In order of evaluation; each counts in one counter more than its place in `rules`.
std::unique_ptr<match_tables> compiled(const std::vector<Rule> &rules, efw_action otherwise)
{
    std::vector<std::pair<unsigned, match::Entry>> entries;
    for (const auto &r : rules)
        entries.push_back(
            {r.priority, {r.match, r.action, static_cast<std::uint16_t>(entries.size() + 1)}});
    std::stable_sort(entries.begin(), entries.end(),
                     [](const auto &a, const auto &b) { return a.first < b.first; });
    std::vector<match::Entry> ordered;
    for (const auto &[priority, entry] : entries)
        ordered.push_back(entry);
    return match::compile(ordered, {otherwise, 0});
}

// The last interval that does not begin after the address.
const match_bits &bits_of(const match_addr_table &t, const ip_addr &a)
{
    std::size_t at = 0;
    for (std::size_t i = 0; i < t.intervals; ++i) {
        const __be32 start[] = {htonl(static_cast<__u32>(t.start[i].high >> 32)),
                                htonl(static_cast<__u32>(t.start[i].high)),
                                htonl(static_cast<__u32>(t.start[i].low >> 32)),
                                htonl(static_cast<__u32>(t.start[i].low))};
        if (std::memcmp(start, &a, sizeof a) <= 0)
            at = i;
    }
    return t.bits[t.class_of[at]];
}

const match_bits &bits_of(const match_port_table &t, const pkt &p, __be16 port)
{
    return t.bits[p.l4 == PKT_L4_PORTS ? t.class_of[ntohs(port)] : MATCH_NO_PORT];
}

// The counter of the rule that decides, or model::cannot_tell.
int decide(const match_tables &t, const pkt &p)
{
    const bool v4 = p.flow.family == 4;
    const bool unread = p.l4 == PKT_L4_UNREAD;
    const bool ports = p.frag == PKT_FRAG_NONE && p.l4 != PKT_L4_BAD && !unread;
    const match_bits &proto =
        unread ? (v4 ? t.any_proto4 : t.any_proto6) : (v4 ? t.proto4 : t.proto6)[p.flow.proto];
    std::size_t i = 0;
    for (; i < t.rules; ++i) {
        auto has = [&](const match_bits &b) { return b.word[i / 64] >> i % 64 & 1; };
        if (has(bits_of(t.src, p.flow.saddr)) && has(bits_of(t.dst, p.flow.daddr)) && has(proto) &&
            (!ports ||
             (has(bits_of(t.sport, p, p.flow.sport)) && has(bits_of(t.dport, p, p.flow.dport)))))
            break;
    }
    const int unseen = (ports ? 0 : MATCH_RULE_PORTS) | (unread ? MATCH_RULE_PROTO : 0);
    return t.rule[i].flags & unseen ? model::cannot_tell : t.rule[i].counter;
}

} // namespace

TEST_CASE("the tables decide as the rules do, one after another")
{
    model::Random random(3);
    unsigned decided[3] = {};
    for (int round = 0; round < 300; ++round) {
        const auto rules = model::any_rules(random, round % 10 ? 12 : 150);
        const auto tables = compiled(rules, EFW_SLOW);
        for (int i = 0; i < 100; ++i) {
            const pkt p = model::any_packet(random, rules);
            const int expected = model::decide(rules, p);
            INFO("round " << round << " packet " << i);
            REQUIRE(decide(*tables, p) ==
                    (expected == model::cannot_tell ? expected : expected + 1));
            ++decided[expected < 0 ? -expected : 0];
        }
    }
    for (const unsigned n : decided) // by a rule, by default, by nobody: none is rare
        CHECK(n > 1000);
}

TEST_CASE("the intervals are sorted, padded to a power of two, and start at zero")
{
    model::Random random(4);
    for (int round = 0; round < 100; ++round) {
        const auto tables = compiled(model::any_rules(random, 60), EFW_DROP);
        for (const auto *t : {&tables->src, &tables->dst}) {
            REQUIRE(std::has_single_bit(t->intervals));
            REQUIRE((t->start[0].high == 0 && t->start[0].low == 0));
            for (std::size_t i = 1; i < t->intervals; ++i)
                REQUIRE(std::pair(t->start[i - 1].high, t->start[i - 1].low) <=
                        std::pair(t->start[i].high, t->start[i].low));
        }
    }
}

TEST_CASE("a table holds the most rules there may be, all different")
{
    std::vector<Rule> rules;
    for (unsigned i = 0; i < MATCH_MAX_RULES; ++i) {
        const std::string n = std::to_string(i / 250) + "." + std::to_string(i % 250);
        auto rule =
            parse_rule("ip saddr 10.1." + n + " ip daddr 10.2." + n + " tcp sport " +
                       std::to_string(2 * i + 1) + " dport " + std::to_string(2 * i + 1) + " drop");
        REQUIRE(rule);
        rules.push_back(*rule);
    }
    const auto tables = compiled(rules, EFW_ACCEPT);
    CHECK(tables->words == 16);
    CHECK(tables->rule[MATCH_MAX_RULES].action == EFW_ACCEPT);
    CHECK(tables->rule[MATCH_MAX_RULES].flags == 0);
    CHECK(tables->src.intervals <= MATCH_INTERVALS);
    for (std::size_t i = 0; i < rules.size(); ++i) {
        pkt p{};
        p.flow.family = 4;
        p.flow.proto = IPPROTO_TCP;
        p.flow.saddr = rules[i].match.src->address.raw();
        p.flow.daddr = rules[i].match.dst->address.raw();
        p.flow.sport = p.flow.dport = htons(rules[i].match.dport->low);
        REQUIRE(decide(*tables, p) == static_cast<int>(i) + 1);
    }
}
