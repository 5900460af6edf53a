// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/explain/live_sets.hpp"

#include <arpa/inet.h>
#include <bpf/bpf.h>

#include <algorithm>
#include <map>

#include "abi/match.h"
#include "vnfs/efw/section_sets.hpp"

namespace evnf::efw
{

namespace
{

constexpr unsigned all_bits = 128;

bool has(int elements, const match_set_element &element)
{
    __u32 value = 0;
    return bpf_map_lookup_elem(elements, &element, &value) == 0;
}

ip_addr first_bits(ip_addr address, unsigned length)
{
    for (unsigned i = 0; i < 4; ++i) {
        const unsigned bits = std::clamp(length, 32 * i, 32 * (i + 1)) - 32 * i;
        address.w[i] &= bits ? htonl(~std::uint32_t{0} << (32 - bits)) : 0;
    }
    return address;
}

bool has_address(const LiveSets &sets, __u16 set, const ip_addr &address, unsigned family)
{
    match_set_lengths lengths{};
    const __u32 number = set;
    if (bpf_map_lookup_elem(sets.lengths, &number, &lengths))
        return false;
    for (unsigned length = 0; length <= all_bits; ++length) {
        if (!(lengths.word[length / 64] >> length % 64 & 1))
            continue;
        match_set_element element{.addr = first_bits(address, length), .set = set};
        element.length = static_cast<__u8>(length);
        // A prefix of one family means no packet of the other.
        if ((length >= 96 && Address(element.addr).is_v4()) == (family == 4) &&
            has(sets.elements, element))
            return true;
    }
    return false;
}

bool is_in(const LiveSets &sets, __u16 set, match::SetKey key, const pkt &p)
{
    using match::SetKey;
    if (key == SetKey::saddr || key == SetKey::daddr)
        return has_address(sets, set, key == SetKey::saddr ? p.flow.saddr : p.flow.daddr,
                           p.flow.family);
    if (p.l4 != PKT_L4_PORTS || p.frag != PKT_FRAG_NONE)
        return false;
    const bool source = key == SetKey::sport || key == SetKey::saddr_sport;
    match_set_element element{.port = source ? p.flow.sport : p.flow.dport, .set = set};
    if (key == SetKey::saddr_sport || key == SetKey::daddr_dport) {
        element.addr = source ? p.flow.saddr : p.flow.daddr;
        element.length = all_bits;
    }
    return has(sets.elements, element);
}

} // namespace

std::vector<match::SetUse> sets_with(const pkt &packet, const std::vector<SectionRule> &rules,
                                     const json &section, const LiveSets &sets)
{
    std::map<std::string, __u16> numbers;
    for (const auto &set : declared_sets(section))
        numbers[set.name] = set.number;
    std::vector<match::SetUse> out;
    for (const auto &r : rules)
        for (const auto &use : r.rule.match.sets)
            if (const match::SetUse member{use.key, use.set, false};
                std::find(out.begin(), out.end(), member) == out.end() &&
                is_in(sets, numbers.at(use.set), use.key, packet))
                out.push_back(member);
    std::sort(out.begin(), out.end());
    return out;
}

} // namespace evnf::efw
