// SPDX-License-Identifier: GPL-2.0-or-later
// The compiled tables, read in the plainest way that abi/match.h allows, against the model.
#include <catch2/catch.hpp>

#include <arpa/inet.h>
#include <endian.h>

#include <algorithm>
#include <cstring>

#include "match/compile.hpp"
#include "support/packets.hpp"

using namespace evnf;
using namespace evnf::efw;

namespace
{

const model::World &world()
{
    static const model::World w = [] {
        model::World out;
        for (const auto *name : model::interface_names)
            out.interfaces[static_cast<__u32>(10 + out.interfaces.size())] = name;
        return out;
    }();
    return w;
}

match::Names names()
{
    match::Names out;
    for (const auto &[ifindex, name] : world().interfaces)
        out.interfaces.emplace_back(name, ifindex);
    for (const auto &set : model::set_names)
        out.sets.emplace(set.name, static_cast<std::uint16_t>(3 + out.sets.size()));
    return out;
}

// A ruleset as the fast path has it.
class Tables
{
public:
    explicit Tables(match::Tables cells) : cells_(std::move(cells)) {}

    [[nodiscard]] const match_layout &layout() const { return cells_.at(0).layout; }

    template <class T>
    [[nodiscard]] T at(std::size_t cell, std::size_t index) const
    {
        T out;
        const std::size_t in_cell = sizeof(match_cell) / sizeof(T);
        std::memcpy(&out,
                    reinterpret_cast<const char *>(&cells_.at(cell + index / in_cell)) +
                        index % in_cell * sizeof(T),
                    sizeof out);
        return out;
    }

    // The vector of the interval that a value falls into.
    template <class Key, class Below>
    [[nodiscard]] std::uint32_t vector(std::uint32_t table, const Below &below) const
    {
        const auto t = at<match_table>(table, 0);
        const std::size_t lowest = t.key_cell[t.levels - 1];
        std::size_t i = 0;
        while (below(at<Key>(lowest, i)))
            ++i;
        return at<std::uint32_t>(t.vector_cell, i);
    }

    [[nodiscard]] bool has(std::uint32_t vector, std::size_t rule) const
    {
        const std::size_t word = rule / 64, summary = (layout().words + 63) / 64;
        const auto block = at<std::uint32_t>(vector, summary * 2 + word / MATCH_BLOCK_WORDS);
        const auto bits = at<std::uint64_t>(block, word % MATCH_BLOCK_WORDS);
        const auto words = at<std::uint64_t>(vector, word / 64);
        REQUIRE((words >> word % 64 & 1) == (bits != 0));
        return bits >> rule % 64 & 1;
    }

private:
    match::Tables cells_;
};

std::uint32_t number_vector(const Tables &t, std::uint32_t table, std::uint32_t value)
{
    return t.vector<std::uint32_t>(table, [&](std::uint32_t last) { return last < value; });
}

std::uint32_t address_vector(const Tables &t, const pkt &p, const ip_addr &a, int which)
{
    if (p.flow.family == 4)
        return number_vector(t, t.layout().addr4[which], ntohl(a.w[3]));
    match_bound b{};
    std::memcpy(&b, &a, sizeof b);
    const std::pair value(be64toh(b.high), be64toh(b.low));
    return t.vector<match_bound>(t.layout().addr6[which], [&](const match_bound &last) {
        return std::pair<std::uint64_t, std::uint64_t>(last.high, last.low) < value;
    });
}

// All vectors that a packet's fields give, but of what cannot be seen.
std::vector<std::uint32_t> vectors_of(const Tables &t, const pkt &p, bool hidden,
                                      const model::World &w)
{
    const auto &l = t.layout();
    const bool ports = p.l4 == PKT_L4_PORTS, icmp = p.l4 == PKT_L4_ICMP;
    const std::pair<match_field, std::uint32_t> values[] = {
        {MATCH_PROTO, p.flow.proto},
        {MATCH_SPORT, ports ? ntohs(p.flow.sport) : MATCH_NO_VALUE},
        {MATCH_DPORT, ports ? ntohs(p.flow.dport) : MATCH_NO_VALUE},
        {MATCH_ICMP, icmp ? p.icmp_type * 256U + p.icmp_code : MATCH_NO_VALUE},
        {MATCH_FLAGS, ports ? p.tcp_flags : MATCH_NO_VALUE},
        {MATCH_IFACE, p.ifindex},
        {MATCH_VLAN, p.vlans ? p.vlan_tci[0] & 0xfffU : MATCH_NO_VALUE},
        {MATCH_DSCP, p.tos / 4U},
        {MATCH_FRAG, p.frag},
        {MATCH_LENGTH, p.l3_end - p.l3_off},
    };
    unsigned skipped = hidden ? MATCH_TRANSPORT : 0U;
    if (p.l4 == PKT_L4_UNREAD)
        skipped |= 1U << MATCH_PROTO;
    std::vector<std::uint32_t> out;
    if (l.uses & 1U << MATCH_SRC)
        out.push_back(address_vector(t, p, p.flow.saddr, 0));
    if (l.uses & 1U << MATCH_DST)
        out.push_back(address_vector(t, p, p.flow.daddr, 1));
    for (const auto &[field, value] : values)
        if (l.uses & ~skipped & 1U << field)
            out.push_back(number_vector(t, t.at<std::uint32_t>(l.table_cell, field), value));
    for (std::uint32_t i = 0; i < l.sets; ++i) {
        const auto use = t.at<match_set_use>(l.set_cell, i);
        const auto key = static_cast<match::SetKey>(use.key);
        if (hidden && key != match::SetKey::saddr && key != match::SetKey::daddr)
            continue;
        // Whether the packet is a member, a rule that asks for just that can say.
        match::Match asks;
        asks.sets = {{key, model::set_names[use.set - 3U].name, false}};
        out.push_back(look(asks, p, w) == model::Seen::yes ? use.member_vector : use.other_vector);
    }
    return out;
}

// As the fast path: rules are numbered from 1 by their counters, in order of evaluation.
model::Answer decide(const Tables &t, const pkt &p, const model::World &w)
{
    const bool hidden = p.frag != PKT_FRAG_NONE || p.l4 == PKT_L4_BAD || p.l4 == PKT_L4_UNREAD;
    unsigned unseen = 0;
    if (hidden)
        unseen |= MATCH_RULE_TRANSPORT;
    if (p.l4 == PKT_L4_UNREAD)
        unseen |= MATCH_RULE_PROTO;
    const auto vectors = vectors_of(t, p, hidden, w);
    model::Answer out{{}, model::by_default};
    for (std::size_t i = 0; i < t.layout().rules; ++i) {
        if (!std::all_of(vectors.begin(), vectors.end(),
                         [&](std::uint32_t v) { return t.has(v, i); }))
            continue;
        const auto rule = t.at<match_rule>(t.layout().rule_cell, i);
        if (rule.flags & unseen) {
            out.rule = model::cannot_tell;
            return out;
        }
        if (rule.action != EFW_COUNT) {
            out.rule = static_cast<int>(rule.counter - 1);
            return out;
        }
        out.counted.push_back(rule.counter - 1);
    }
    return out;
}

Tables compiled(const std::vector<Rule> &rules)
{
    std::vector<match::Entry> entries;
    for (const auto &r : rules)
        entries.push_back({r.match,
                           {.action = static_cast<__u8>(r.action),
                            .counter = static_cast<__u32>(entries.size() + 1)}});
    auto tables = match::compile(entries, {.action = EFW_SLOW}, names());
    REQUIRE(tables);
    return Tables(*std::move(tables));
}

} // namespace

TEST_CASE("the tables decide as the rules do, one after another")
{
    model::Random random(3);
    unsigned decided[3] = {};
    for (int round = 0; round < 200; ++round) {
        model::World w = world();
        w.sets = model::any_sets(random);
        auto rules = model::any_rules(random, round % 10 ? 12 : 600, w.sets);
        for (auto &r : rules) // they are in order already
            r.priority = Rule::default_priority;
        const Tables tables = compiled(rules);
        const model::Model model(rules, w);
        for (const auto &p : model::any_stream(random, rules, w, 60)) {
            const auto expected = model.decide(p);
            INFO("round " << round << ": " << model::describe(p, w));
            REQUIRE(decide(tables, p, w) == expected);
            ++decided[expected.rule < 0 ? -expected.rule : 0];
        }
    }
    for (const unsigned n : decided) // by a rule, by default, by nobody: none is rare
        CHECK(n > 500);
}

TEST_CASE("tables have room for the most rules, and refuse more")
{
    std::vector<match::Entry> rules(MATCH_MAX_RULES);
    for (std::size_t i = 0; i < rules.size(); ++i)
        rules[i].match.length.ranges = {
            {static_cast<std::uint16_t>(i), static_cast<std::uint16_t>(i)}};
    auto tables = match::compile(rules, {});
    REQUIRE(tables);
    const Tables t(*std::move(tables));
    for (const unsigned i : {0U, 1U, 4095U, 4096U, MATCH_MAX_RULES - 2U, MATCH_MAX_RULES - 1U}) {
        const auto vector =
            number_vector(t, t.at<std::uint32_t>(t.layout().table_cell, MATCH_LENGTH), i);
        CHECK(t.has(vector, i));
        CHECK_FALSE(t.has(vector, (i + 1) % MATCH_MAX_RULES));
    }
    rules.emplace_back();
    CHECK_FALSE(match::compile(rules, {}));
}
