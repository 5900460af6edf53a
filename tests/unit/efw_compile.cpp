// SPDX-License-Identifier: GPL-2.0-or-later
// The compiled tables, read in the plainest way that abi/match.h allows, against the model.
#include <catch2/catch.hpp>

#include <arpa/inet.h>
#include <endian.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <set>

#include "match/amendment.hpp"
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

// A ruleset as the fast path has it: of all cells there are, by the cell of its layout.
class Tables
{
public:
    explicit Tables(match::Tables cells, std::uint32_t layout = 0)
        : cells_(std::move(cells)),
          layout_(layout)
    {
    }

    [[nodiscard]] const match_layout &layout() const { return cells_.at(layout_).layout; }
    [[nodiscard]] Tables added() const { return Tables(cells_, layout().added); }
    // Before which rule an added one stands.
    [[nodiscard]] std::uint32_t place(std::size_t added) const
    {
        return cells_.at(layout_ + 1 + added / MATCH_KEYS).u32[added % MATCH_KEYS];
    }

    template <class T>
    [[nodiscard]] T at(std::size_t cell, std::size_t index) const
    {
        T out;
        const std::size_t in_cell = sizeof(match_cell) / sizeof(T);
        std::memcpy(&out,
                    reinterpret_cast<const char *>(&cells_.at(
                        static_cast<std::uint32_t>(layout().first + cell + index / in_cell))) +
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
    std::uint32_t layout_;
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
        const auto vector =
            look(asks, p, w) == model::Seen::yes ? use.member_vector : use.other_vector;
        if (vector != 0)
            out.push_back(vector);
    }
    if (l.live != 0)
        out.push_back(l.live);
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
    const Tables added = t.layout().added ? t.added() : t;
    const std::size_t added_rules = t.layout().added ? added.layout().rules : 0;
    const auto vectors = vectors_of(t, p, hidden, w);
    const auto more_vectors = vectors_of(added, p, hidden, w);
    model::Answer out{{}, model::by_default};
    // Whether the search ends with it.
    const auto meets = [&](const Tables &in, const std::vector<std::uint32_t> &all, std::size_t i) {
        if (!std::all_of(all.begin(), all.end(), [&](std::uint32_t v) { return in.has(v, i); }))
            return false;
        const auto rule = in.at<match_rule>(in.layout().rule_cell, i);
        if (rule.flags & unseen)
            out.rule = model::cannot_tell;
        else if (rule.action != EFW_COUNT)
            out.rule = static_cast<int>(rule.counter - 1);
        else
            out.counted.push_back(rule.counter - 1);
        return out.rule != model::by_default;
    };
    std::size_t next = 0;
    for (std::size_t i = 0; i <= t.layout().rules; ++i) {
        for (; next < added_rules && t.place(next) <= i; ++next)
            if (meets(added, more_vectors, next))
                return out;
        if (i < t.layout().rules && meets(t, vectors, i))
            return out;
    }
    REQUIRE(next == added_rules);
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

namespace
{

std::vector<match::EntryRef> entries_of(const std::vector<Rule> &rules)
{
    std::vector<match::EntryRef> out;
    for (const auto &r : rules)
        out.push_back(std::make_shared<const match::Entry>(
            match::Entry{r.match, {.action = static_cast<__u8>(r.action)}}));
    return out;
}

// The rules that an amendment makes of the base's, in the plainest way.
std::vector<match::EntryRef> applied(const match::Base &base, const match::Amendment &a)
{
    std::vector<match::EntryRef> out;
    std::size_t next = 0;
    for (std::uint32_t i = 0; i <= base.rules.size(); ++i) {
        for (; next < a.added.size() && a.added[next].place == i; ++next)
            out.push_back(a.added[next].rule);
        if (i < base.rules.size() &&
            std::find(a.removed.begin(), a.removed.end(), i) == a.removed.end())
            out.push_back(base.rules[i]);
    }
    return out;
}

match::Base base_of(const std::vector<match::EntryRef> &rules)
{
    auto tables = match::compile(rules, {}, {});
    REQUIRE(tables);
    return {rules, {}, *tables};
}

// One rule more, less, or elsewhere.
template <class T, class Make>
void change(model::Random &random, std::vector<T> &rules, const Make &make)
{
    const auto at = [&](std::size_t n) {
        return rules.begin() + static_cast<std::ptrdiff_t>(random() % n);
    };
    const auto kind = random() % 3;
    if (rules.empty() || kind == 0) {
        rules.insert(at(rules.size() + 1), make());
        return;
    }
    const auto from = at(rules.size());
    const T rule = *from;
    rules.erase(from);
    if (kind == 1)
        rules.insert(at(rules.size() + 1), rule);
}

} // namespace

TEST_CASE("an amendment makes the wanted rules of the base's")
{
    model::Random random(21);
    const auto entry = [] { return std::make_shared<const match::Entry>(); };
    unsigned amended = 0;
    for (int round = 0; round < 300; ++round) {
        std::vector<match::EntryRef> rules;
        for (unsigned i = model::below(random, 60); i > 0; --i)
            rules.push_back(entry());
        const auto base = base_of(rules);
        for (int step = 0; step < 40; ++step) {
            change(random, rules, entry);
            const auto a = match::amendment_of(base, rules);
            REQUIRE(a);
            REQUIRE(applied(base, *a) == rules);
            const std::set<std::uint32_t> once(a->removed.begin(), a->removed.end());
            REQUIRE(once.size() == a->removed.size());
            ++amended;
        }
    }
    CHECK(amended == 300 * 40);
}

TEST_CASE("a rule that is moved is one rule removed and one added")
{
    auto rules = entries_of(std::vector<Rule>(50));
    const auto base = base_of(rules);
    for (const auto &[from, to] :
         {std::pair{0, 49}, {49, 0}, {10, 11}, {11, 10}, {10, 30}, {30, 10}}) {
        auto wanted = rules;
        const auto rule = wanted[static_cast<std::size_t>(from)];
        wanted.erase(wanted.begin() + from);
        wanted.insert(wanted.begin() + to, rule);
        const auto a = match::amendment_of(base, wanted);
        REQUIRE(a);
        CHECK(a->removed.size() == 1);
        CHECK(a->added.size() == 1);
    }
}

TEST_CASE("what is too much for an amendment is none")
{
    std::vector<Rule> many(MATCH_MAX_ADDED);
    auto rules = entries_of(std::vector<Rule>(10));
    const auto base = base_of(rules);
    const auto more = entries_of(many);
    rules.insert(rules.begin() + 5, more.begin(), more.end());
    CHECK(match::amendment_of(base, rules));
    rules.push_back(std::make_shared<const match::Entry>());
    CHECK_FALSE(match::amendment_of(base, rules));
    // Of the most rules, numbers must be left for those added, the default's and none's.
    const auto most = entries_of(std::vector<Rule>(MATCH_MAX_RULES));
    const auto full = base_of(most);
    auto others = most;
    unsigned fit = 0;
    for (; fit < 20; ++fit) {
        others[fit] = std::make_shared<const match::Entry>();
        if (!match::amendment_of(full, others))
            break;
    }
    CHECK(fit == 0xffff - MATCH_MAX_RULES - 1);
    others = most;
    others.push_back(std::make_shared<const match::Entry>());
    CHECK_FALSE(match::amendment_of(full, others));
    // Cells.
    auto wanted = base.rules;
    wanted.push_back(std::make_shared<const match::Entry>());
    const auto a = match::amendment_of(base, wanted);
    REQUIRE(a);
    const auto tables = match::compile(base, *a, 100, 1000);
    REQUIRE(tables);
    CHECK(match::compile(base, *a, 100, tables->size()));
    CHECK_FALSE(match::compile(base, *a, 100, tables->size() - 1));
}

TEST_CASE("a ruleset with changes decides as its rules do, and as compiled anew")
{
    model::Random random(22);
    unsigned decided[3] = {}, sets = 0;
    for (int round = 0; round < 60; ++round) {
        model::World w = world();
        w.sets = model::any_sets(random);
        const auto any = [&] {
            Rule r = model::any_rule(random, w.sets);
            r.priority = Rule::default_priority;
            return r;
        };
        struct Standing {
            Rule rule;
            match::EntryRef entry;
        };
        unsigned counter = 0;
        const auto stand = [&](const Rule &r) {
            return Standing{
                r, std::make_shared<const match::Entry>(match::Entry{
                       r.match, {.action = static_cast<__u8>(r.action), .counter = ++counter}})};
        };
        std::vector<Standing> rules;
        for (unsigned i = model::below(random, round % 10 ? 40 : 900); i > 0; --i)
            rules.push_back(stand(any()));
        const auto entries = [&] {
            std::vector<match::EntryRef> out;
            for (const auto &s : rules)
                out.push_back(s.entry);
            return out;
        };
        auto compiled_base = match::compile(entries(), {.action = EFW_SLOW}, names());
        REQUIRE(compiled_base);
        match::Base base(entries(), names(), *compiled_base);
        // Both may lie behind the other.
        const std::uint32_t first = round % 2 ? 9000 : 1, cell = round % 2 ? 1 : 40000;
        base.layout.first = first;
        match::Tables all(65536);
        compiled_base->front().layout.first = first;
        REQUIRE(first + compiled_base->size() < (round % 2 ? 65536 : 40000));
        std::copy(compiled_base->begin(), compiled_base->end(), all.begin() + first);
        for (int step = 0; step < 12; ++step) {
            change(random, rules, [&] { return stand(any()); });
            const auto amendment = match::amendment_of(base, entries());
            REQUIRE(amendment);
            const auto tables = match::compile(base, *amendment, cell, 8192);
            if (!tables) { // more uses of sets than there may be
                ++sets;
                continue;
            }
            std::copy(tables->begin(), tables->end(), all.begin() + cell);
            const Tables changed(all, cell);
            const auto anew = match::compile(entries(), {.action = EFW_SLOW}, names());
            REQUIRE(anew);
            const Tables whole(*anew);
            REQUIRE((changed.layout().looks & ~whole.layout().looks) ==
                    (changed.layout().looks & ~whole.layout().looks & base.layout.uses));
            REQUIRE((whole.layout().looks & ~changed.layout().looks) == 0);
            std::vector<Rule> plain;
            std::map<int, int> place; // by counter less one
            for (const auto &s : rules) {
                place[static_cast<int>(s.entry->rule.counter) - 1] = static_cast<int>(plain.size());
                plain.push_back(s.rule);
            }
            const auto in_order = [&](model::Answer a) {
                if (a.rule >= 0)
                    a.rule = place.at(a.rule);
                for (auto &c : a.counted)
                    c = static_cast<std::size_t>(place.at(static_cast<int>(c)));
                return a;
            };
            const model::Model model(plain, w);
            for (const auto &p : model::any_stream(random, plain, w, 30)) {
                const auto expected = model.decide(p);
                INFO("round " << round << " step " << step << ": " << model::describe(p, w));
                REQUIRE(in_order(decide(changed, p, w)) == expected);
                REQUIRE(in_order(decide(whole, p, w)) == expected);
                ++decided[expected.rule < 0 ? -expected.rule : 0];
            }
        }
    }
    for (const unsigned n : decided)
        CHECK(n > 300);
    CHECK(sets < 100);
}
