// SPDX-License-Identifier: GPL-2.0-or-later
#include "match/compile.hpp"

#include <cstring>
#include <endian.h>

#include "match/table.hpp"

namespace evnf::match
{

namespace
{

using Rules = std::vector<const Entry *>;

u128 number(const Address &a)
{
    match_bound b{};
    std::memcpy(&b, &a.raw(), sizeof b);
    return u128{be64toh(b.high)} << 64 | be64toh(b.low);
}

constexpr u128 first_v4 = u128{0xffff} << 32; // of the mapped ones

// What a rule's address allows of one family: none if the rule is about the other.
template <class Key>
Asked<Key> asked_address(const Match &match, const Field<Address> &field, int family)
{
    if (match.family && match.family != family)
        return Ranges<Key>{};
    if (!field.asked())
        return std::nullopt;
    Ranges<Key> out;
    for (const auto &r : field.values()) {
        u128 first = number(r.first), last = number(r.last);
        if (family == 4) {
            if (last < first_v4 || first > (first_v4 | 0xffffffff))
                continue;
            first = std::max(first, first_v4) - first_v4;
            last = std::min(last, first_v4 | 0xffffffff) - first_v4;
        }
        out.push_back({static_cast<Key>(first), static_cast<Key>(last)});
    }
    return out;
}

template <class Value>
Asked<std::uint32_t> asked(const Field<Value> &field)
{
    if (!field.asked())
        return std::nullopt;
    Ranges<std::uint32_t> out;
    for (const auto &r : field.values())
        out.push_back({r.first, r.last});
    return out;
}

Asked<std::uint32_t> asked(const TcpFlags &flags)
{
    if (!flags.asked())
        return std::nullopt;
    Ranges<std::uint32_t> out;
    for (std::uint32_t value = 0; value < 256; ++value)
        if (flags.allows(static_cast<std::uint8_t>(value)))
            out.push_back({value, value});
    return normalized(out);
}

Asked<std::uint32_t> asked(const Interfaces &in, const Names &names)
{
    if (!in.asked())
        return std::nullopt;
    Ranges<std::uint32_t> out;
    for (const auto &[name, number] : names.interfaces)
        if (in.allows(name))
            out.push_back({number, number});
    return normalized(out);
}

Asked<std::uint32_t> asked(match_field field, const Match &m, const Names &names)
{
    switch (field) {
    case MATCH_PROTO:
        return asked(m.protocol);
    case MATCH_SPORT:
        return asked(m.sport);
    case MATCH_DPORT:
        return asked(m.dport);
    case MATCH_ICMP:
        return asked(m.icmp);
    case MATCH_FLAGS:
        return asked(m.tcp_flags);
    case MATCH_IFACE:
        return asked(m.in, names);
    case MATCH_VLAN:
        return asked(m.vlan);
    case MATCH_DSCP:
        return asked(m.dscp);
    case MATCH_FRAG:
        return asked(m.fragment);
    case MATCH_LENGTH:
        return asked(m.length);
    default:
        return std::nullopt;
    }
}

bool is_of_ports(const SetUse &use)
{
    return use.key != SetKey::saddr && use.key != SetKey::daddr;
}

match_rule compiled(const Entry &from)
{
    const Match &m = from.match;
    match_rule out = from.rule;
    out.flags = 0;
    if (m.sport.asked() || m.dport.asked() || m.icmp.asked() || m.tcp_flags.asked() ||
        std::any_of(m.sets.begin(), m.sets.end(), is_of_ports))
        out.flags |= MATCH_RULE_TRANSPORT;
    if (m.protocol.asked())
        out.flags |= MATCH_RULE_PROTO;
    return out;
}

// Tables of each address for each family; without, if no rule is about either.
void add_addresses(Cells &cells, Vectors &vectors, const Rules &rules)
{
    for (const match_field which : {MATCH_SRC, MATCH_DST}) {
        std::vector<Asked<std::uint32_t>> v4;
        std::vector<Asked<u128>> v6;
        bool used = false;
        for (const auto *r : rules) {
            const auto &field = which == MATCH_SRC ? r->match.src : r->match.dst;
            used = used || field.asked() || (which == MATCH_SRC && r->match.family);
            v4.push_back(asked_address<std::uint32_t>(r->match, field, 4));
            v6.push_back(asked_address<u128>(r->match, field, 6));
        }
        if (!used)
            continue;
        const auto i4 = intervals(v4, vectors);
        const auto i6 = intervals(v6, vectors);
        const auto t4 = add_table(cells, i4);
        const auto t6 = add_table(cells, i6);
        cells.layout().addr4[which] = t4;
        cells.layout().addr6[which] = t6;
        cells.layout().uses |= 1U << which;
    }
}

void add_fields(Cells &cells, Vectors &vectors, const Rules &rules, const Names &names)
{
    std::vector<std::uint32_t> tables(MATCH_FIELDS);
    for (int f = MATCH_PROTO; f < MATCH_FIELDS; ++f) {
        std::vector<Asked<std::uint32_t>> values;
        bool used = false;
        for (const auto *r : rules) {
            values.push_back(asked(static_cast<match_field>(f), r->match, names));
            used = used || values.back();
        }
        if (!used)
            continue;
        tables[static_cast<std::size_t>(f)] = add_table(cells, intervals(values, vectors));
        cells.layout().uses |= 1U << f;
    }
    const auto cell = cells.add(tables);
    cells.layout().table_cell = cell;
}

struct Use {
    match_set_use in_tables;
    Vector member, other;
};

// A set that is used in several rules by the same key is looked up once.
Result<std::vector<Use>> find_uses(const Vectors &vectors, const Rules &rules, const Names &names,
                                   const std::vector<match_set_use> &before)
{
    std::vector<Use> out;
    std::map<std::pair<std::uint16_t, SetKey>, std::size_t> places;
    const auto add = [&](std::uint16_t set, SetKey key) {
        match_set_use use{};
        use.set = set;
        use.key = static_cast<__u8>(key);
        if (places.try_emplace({set, key}, out.size()).second)
            out.push_back({use, vectors.empty(), vectors.empty()});
    };
    for (const auto &use : before)
        add(use.set, static_cast<SetKey>(use.key));
    for (const auto *r : rules)
        for (const auto &use : r->match.sets) {
            const auto number = names.sets.find(use.set);
            if (number == names.sets.end())
                return bad_input("there is no set @" + use.set);
            add(number->second, use.key);
        }
    if (out.size() > MATCH_MAX_SETS)
        return bad_input("the rules use " + std::to_string(out.size()) + " sets, at most " +
                         std::to_string(MATCH_MAX_SETS) +
                         " can be: put sets of the same use together");
    return out;
}

Result<> add_sets(Cells &cells, Vectors &vectors, const Rules &rules, const Names &names,
                  const std::vector<match_set_use> &before)
{
    auto uses = find_uses(vectors, rules, names, before);
    if (!uses)
        return uses.error();
    std::vector<match_set_use> out;
    for (auto &[in_tables, members, others] : *uses) {
        for (std::size_t i = 0; i < rules.size(); ++i) {
            bool member = true, other = true;
            for (const auto &use : rules[i]->match.sets) {
                if (names.sets.at(use.set) != in_tables.set ||
                    static_cast<__u8>(use.key) != in_tables.key)
                    continue;
                member = member && !use.negated;
                other = other && use.negated;
            }
            members.set(i, member);
            others.set(i, other);
        }
        in_tables.member_vector = vectors.store(members);
        in_tables.other_vector = vectors.store(others);
        out.push_back(in_tables);
    }
    const auto cell = cells.add(out);
    cells.layout().sets = static_cast<__u32>(out.size());
    cells.layout().set_cell = cell;
    return Unit{};
}

Result<Tables> compile(const Rules &rules, const match_rule &otherwise, const Names &names,
                       const std::vector<match_set_use> &uses)
{
    if (rules.size() > MATCH_MAX_RULES)
        return bad_input(std::to_string(rules.size()) + " rules are more than the " +
                         std::to_string(MATCH_MAX_RULES) + " that can be");
    Cells cells;
    const std::size_t words = (rules.size() + 63) / 64;
    Vectors vectors(cells, words);
    cells.layout().rules = static_cast<__u32>(rules.size());
    cells.layout().words = static_cast<__u32>(words);
    add_addresses(cells, vectors, rules);
    add_fields(cells, vectors, rules, names);
    if (auto r = add_sets(cells, vectors, rules, names, uses); !r)
        return r.error();

    std::vector<match_rule> compiled_rules;
    for (const auto *r : rules)
        compiled_rules.push_back(compiled(*r));
    compiled_rules.push_back(otherwise);
    const auto cell = cells.add(compiled_rules);
    cells.layout().rule_cell = cell;
    cells.layout().looks = cells.layout().uses;
    return cells.take();
}

} // namespace

Result<Tables> compile(const std::vector<Entry> &rules, const match_rule &otherwise,
                       const Names &names)
{
    Rules all;
    for (const auto &r : rules)
        all.push_back(&r);
    return compile(all, otherwise, names, {});
}

Result<Tables> compile(const std::vector<EntryRef> &rules, const match_rule &otherwise,
                       const Names &names, const std::vector<match_set_use> &uses)
{
    Rules all;
    for (const auto &r : rules)
        all.push_back(r.get());
    return compile(all, otherwise, names, uses);
}

std::vector<match_set_use> set_uses(const Tables &tables)
{
    const auto &layout = tables.front().layout;
    std::vector<match_set_use> out;
    for (__u32 i = 0; i < layout.sets; ++i)
        out.push_back(tables[layout.set_cell + i / 4].set_use[i % 4]);
    return out;
}

} // namespace evnf::match
