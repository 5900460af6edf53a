// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/compile.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cstring>
#include <endian.h>
#include <map>

namespace evnf::efw
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
    efw_bits bits;
};

void set_bit(efw_bits &bits, std::size_t rule)
{
    bits.word[rule / 64] |= std::uint64_t{1} << rule % 64;
}

// Rules whose range is empty, because they do not ask for the field, allow all of it.
template <class Value>
efw_bits indifferent(const std::vector<std::optional<Range<Value>>> &ranges)
{
    efw_bits bits{};
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
    const efw_bits base = indifferent(ranges);
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
    explicit Classes(efw_bits *table) : table_(table) {}

    std::uint16_t of(const efw_bits &bits)
    {
        auto [it, fresh] = known_.try_emplace(bits, static_cast<std::uint16_t>(known_.size()));
        if (fresh)
            table_[it->second] = bits;
        return it->second;
    }

private:
    struct Less {
        bool operator()(const efw_bits &a, const efw_bits &b) const
        {
            return std::memcmp(&a, &b, sizeof a) < 0;
        }
    };
    efw_bits *table_;
    std::map<efw_bits, std::uint16_t, Less> known_;
};

u128 number(const Address &a)
{
    efw_bound b{};
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

void fill(efw_addr_table &table, const std::vector<std::optional<Range<u128>>> &ranges)
{
    static_assert(2 * EFW_MAX_RULES + 1 <= EFW_INTERVALS);
    const auto parts = intervals(ranges, ~u128{0});
    Classes classes(table.bits);
    table.intervals = static_cast<__u32>(std::bit_ceil(parts.size()));
    for (std::size_t i = 0; i < table.intervals; ++i) {
        const auto &part = parts[std::min(i, parts.size() - 1)];
        table.start[i] = {static_cast<__u64>(part.start >> 64), static_cast<__u64>(part.start)};
        table.class_of[i] = classes.of(part.bits);
    }
}

void fill(efw_port_table &table, const std::vector<std::optional<Range<std::uint32_t>>> &ranges)
{
    static_assert(2 * EFW_MAX_RULES + 2 <= EFW_INTERVALS); // one more for no port at all
    const auto parts = intervals(ranges, std::uint32_t{EFW_PORTS - 1});
    Classes classes(table.bits);
    classes.of(indifferent(ranges)); // the first: EFW_NO_PORT
    for (std::size_t i = 0; i < parts.size(); ++i) {
        const std::uint32_t end = i + 1 < parts.size() ? parts[i + 1].start : EFW_PORTS;
        std::fill(table.class_of + parts[i].start, table.class_of + end, classes.of(parts[i].bits));
    }
}

// The family is folded in here: IPv4's vectors leave out the rules for IPv6.
void fill_protocols(efw_tables &t, const std::vector<const NumberedRule *> &rules)
{
    for (std::size_t i = 0; i < rules.size(); ++i) {
        const Rule &rule = rules[i]->rule;
        const unsigned low = rule.protocol.value_or(0);
        const unsigned high = rule.protocol.value_or(255);
        for (unsigned p = low; p <= high; ++p) {
            if (rule.family != 6)
                set_bit(t.proto4[p], i);
            if (rule.family != 4)
                set_bit(t.proto6[p], i);
        }
        if (rule.family != 6)
            set_bit(t.any_proto4, i);
        if (rule.family != 4)
            set_bit(t.any_proto6, i);
    }
}

efw_rule compiled(const NumberedRule &from)
{
    const Rule &rule = from.rule;
    int flags = 0;
    if (rule.sport || rule.dport)
        flags |= EFW_RULE_PORTS;
    if (rule.protocol)
        flags |= EFW_RULE_PROTO;
    return {static_cast<__u8>(rule.action), static_cast<__u8>(flags), from.counter};
}

std::vector<const NumberedRule *> sorted(const std::vector<NumberedRule> &rules)
{
    std::vector<const NumberedRule *> out;
    for (const auto &r : rules)
        out.push_back(&r);
    std::stable_sort(out.begin(), out.end(), [](const NumberedRule *a, const NumberedRule *b) {
        return a->rule.priority < b->rule.priority;
    });
    return out;
}

} // namespace

std::unique_ptr<efw_tables> compile(const std::vector<NumberedRule> &given, efw_action otherwise)
{
    assert(given.size() <= EFW_MAX_RULES);
    const auto rules = sorted(given);
    auto tables = std::make_unique<efw_tables>();
    tables->rules = static_cast<__u32>(rules.size());
    tables->words = static_cast<__u32>((rules.size() + 63) / 64);

    std::vector<std::optional<Range<u128>>> src, dst;
    std::vector<std::optional<Range<std::uint32_t>>> sport, dport;
    for (std::size_t i = 0; i < rules.size(); ++i) {
        const Rule &rule = rules[i]->rule;
        src.push_back(range_of(rule.src));
        dst.push_back(range_of(rule.dst));
        sport.push_back(range_of(rule.sport));
        dport.push_back(range_of(rule.dport));
        tables->rule[i] = compiled(*rules[i]);
    }
    fill(tables->src, src);
    fill(tables->dst, dst);
    fill(tables->sport, sport);
    fill(tables->dport, dport);
    fill_protocols(*tables, rules);
    tables->rule[rules.size()] = {static_cast<__u8>(otherwise), 0, default_counter};
    return tables;
}

} // namespace evnf::efw
