// SPDX-License-Identifier: GPL-2.0-or-later
#include "match/compile.hpp"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>
#include <endian.h>
#include <map>

#include "base/bpf.hpp"

namespace evnf::match
{

namespace
{

__extension__ typedef unsigned __int128 u128; // an IPv6 address as a number

// The values that a rule allows a field to have.
template <class Value>
struct Range {
    Value first, last;
};

// A field's values from `start` to before the next interval, and the rules that do not
// exclude them.
template <class Value>
struct Interval {
    Value start;
    match_bits bits;
};

void set_bit(match_bits &bits, std::size_t rule)
{
    bits.word[rule / 64] |= std::uint64_t{1} << rule % 64;
}

// Rules whose range is empty, because they do not ask for the field, allow all of it.
template <class Value>
match_bits indifferent(const std::vector<std::optional<Range<Value>>> &ranges)
{
    match_bits bits{};
    for (std::size_t i = 0; i < ranges.size(); ++i)
        if (!ranges[i])
            set_bit(bits, i);
    return bits;
}

// Cuts a field's values, up to `max`, where some rule begins or ends.
template <class Value>
std::vector<Interval<Value>> intervals(const std::vector<std::optional<Range<Value>>> &ranges,
                                       Value max)
{
    std::vector<Value> starts{0};
    for (const auto &r : ranges) {
        if (!r)
            continue;
        starts.push_back(r->first);
        if (r->last != max)
            starts.push_back(r->last + 1);
    }
    std::sort(starts.begin(), starts.end());
    starts.erase(std::unique(starts.begin(), starts.end()), starts.end());

    std::vector<Interval<Value>> out;
    const match_bits base = indifferent(ranges);
    for (const Value start : starts)
        out.push_back({start, base});
    for (std::size_t i = 0; i < ranges.size(); ++i) {
        if (!ranges[i])
            continue;
        auto at = std::lower_bound(starts.begin(), starts.end(), ranges[i]->first);
        for (auto j = static_cast<std::size_t>(at - starts.begin());
             j < starts.size() && starts[j] <= ranges[i]->last; ++j)
            set_bit(out[j].bits, i);
    }
    return out;
}

// Gives equal vectors one class.
class Classes
{
public:
    explicit Classes(match_bits *table) : table_(table) {}

    std::uint16_t of(const match_bits &bits)
    {
        auto [it, fresh] = known_.try_emplace(bits, static_cast<std::uint16_t>(known_.size()));
        if (fresh)
            table_[it->second] = bits;
        return it->second;
    }

private:
    struct Less {
        bool operator()(const match_bits &a, const match_bits &b) const
        {
            return std::memcmp(&a, &b, sizeof a) < 0;
        }
    };
    match_bits *table_;
    std::map<match_bits, std::uint16_t, Less> known_;
};

u128 number(const Address &a)
{
    match_bound b{};
    std::memcpy(&b, &a.raw(), sizeof b);
    return u128{be64toh(b.high)} << 64 | be64toh(b.low);
}

std::optional<Range<u128>> range_of(const std::optional<Prefix> &prefix)
{
    if (!prefix)
        return std::nullopt;
    const unsigned length = prefix->length + (prefix->address.is_v4() ? 96 : 0);
    const u128 host = length == 0 ? ~u128{0} : (u128{1} << (128 - length)) - 1;
    const u128 first = number(prefix->address);
    return Range<u128>{first, first | host};
}

std::optional<Range<std::uint32_t>> range_of(const std::optional<PortRange> &ports)
{
    if (!ports)
        return std::nullopt;
    return Range<std::uint32_t>{ports->low, ports->high};
}

void fill(match_addr_table &table, const std::vector<std::optional<Range<u128>>> &ranges)
{
    static_assert(2 * MATCH_MAX_RULES + 1 <= MATCH_INTERVALS);
    const auto parts = intervals(ranges, ~u128{0});
    Classes classes(table.bits);
    table.intervals = static_cast<__u32>(std::bit_ceil(parts.size()));
    for (std::size_t i = 0; i < table.intervals; ++i) {
        const auto &part = parts[std::min(i, parts.size() - 1)];
        table.start[i] = {static_cast<__u64>(part.start >> 64), static_cast<__u64>(part.start)};
        table.class_of[i] = classes.of(part.bits);
    }
}

void fill(match_port_table &table, const std::vector<std::optional<Range<std::uint32_t>>> &ranges)
{
    static_assert(2 * MATCH_MAX_RULES + 2 <= MATCH_INTERVALS); // one more for no port at all
    const auto parts = intervals(ranges, std::uint32_t{MATCH_PORTS - 1});
    Classes classes(table.bits);
    classes.of(indifferent(ranges)); // the first: MATCH_NO_PORT
    for (std::size_t i = 0; i < parts.size(); ++i) {
        const std::uint32_t end = i + 1 < parts.size() ? parts[i + 1].start : MATCH_PORTS;
        std::fill(table.class_of + parts[i].start, table.class_of + end, classes.of(parts[i].bits));
    }
}

// The family is folded in here: IPv4's vectors leave out the rules for IPv6.
void fill_protocols(match_tables &t, const std::vector<Entry> &rules)
{
    for (std::size_t i = 0; i < rules.size(); ++i) {
        const Match &match = rules[i].match;
        const unsigned low = match.protocol.value_or(0);
        const unsigned high = match.protocol.value_or(255);
        auto set = [&](match_bits *by_protocol, match_bits &any, match_bits &none) {
            for (unsigned p = low; p <= high; ++p)
                set_bit(by_protocol[p], i);
            set_bit(any, i);
            if (!match.protocol)
                set_bit(none, i);
        };
        if (match.family != 6)
            set(t.proto4, t.any_proto4, t.no_proto4);
        if (match.family != 4)
            set(t.proto6, t.any_proto6, t.no_proto6);
    }
}

match_rule compiled(const Entry &from)
{
    int flags = 0;
    if (from.match.sport || from.match.dport)
        flags |= MATCH_RULE_PORTS;
    if (from.match.protocol)
        flags |= MATCH_RULE_PROTO;
    return {from.action, static_cast<__u8>(flags), from.counter};
}

} // namespace

std::unique_ptr<match_tables> compile(const std::vector<Entry> &rules, const Default &otherwise)
{
    assert(rules.size() <= MATCH_MAX_RULES);
    auto tables = std::make_unique<match_tables>();
    tables->rules = static_cast<__u32>(rules.size());
    tables->words = static_cast<__u32>((rules.size() + 63) / 64);

    std::vector<std::optional<Range<u128>>> src, dst;
    std::vector<std::optional<Range<std::uint32_t>>> sport, dport;
    for (std::size_t i = 0; i < rules.size(); ++i) {
        const Match &match = rules[i].match;
        src.push_back(range_of(match.src));
        dst.push_back(range_of(match.dst));
        sport.push_back(range_of(match.sport));
        dport.push_back(range_of(match.dport));
        tables->rule[i] = compiled(rules[i]);
    }
    fill(tables->src, src);
    fill(tables->dst, dst);
    fill(tables->sport, sport);
    fill(tables->dport, dport);
    fill_protocols(*tables, rules);
    tables->rule[rules.size()] = {otherwise.action, 0, otherwise.counter};
    return tables;
}

Result<> put_tables(int ruleset, const match_tables &tables)
{
    const Fd inner(bpf_map_create(BPF_MAP_TYPE_ARRAY, "match_tables", sizeof(__u32), sizeof tables,
                                  1, nullptr));
    if (!inner)
        return sys_error("make room for the ruleset");
    const __u32 zero = 0;
    if (bpf_map_update_elem(inner.get(), &zero, &tables, BPF_ANY))
        return sys_error("fill the ruleset");
    return bpf::put_inner(ruleset, 0, inner.get());
}

} // namespace evnf::match
