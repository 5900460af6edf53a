// SPDX-License-Identifier: GPL-2.0-or-later
// The values that follow the name of a field in a match: as people write them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "match/field.hpp"
#include "match/match.hpp"
#include "match/names.hpp"

namespace evnf::match
{

// [!=] VALUE, [!=] { VALUE, … } or [!=] @SET
struct Values {
    bool negated = false;
    std::vector<Word> elements; // at least one
    Word whole;                 // from the first to the last, with the braces

    [[nodiscard]] bool is_set() const { return elements[0].text.starts_with('@'); }
};

// Takes the values after `word`.
Result<Values> take_values(Reader &reader, const Word &word, const char *example);

// A field whose values are numbers.
struct Kind {
    std::string_view what; // ends "'x' is not …", and tells what is
    const char *example;
    std::uint16_t greatest;
    NameTable names = {};
    bool in_every_packet = false;
};
extern const Kind ports_kind, protocol_kind, vlan_kind, dscp_kind, fragment_kind, length_kind;

// NAME, N or N-N.
Result<Range<std::uint16_t>> parse_numbers(const Word &word, const Kind &kind);

// A type and codes of ICMP or ICMPv6, as of Match::icmp: NAME, N, N-N or TYPE/CODE.
Result<Range<std::uint16_t>> parse_icmp(const Word &word, std::uint8_t protocol);

// PREFIX or ADDRESS-ADDRESS, of one family.
Result<Range<Address>> parse_addresses(const Word &word);

// All addresses of a family.
Range<Address> all_addresses(int family);

// The one value that a field asks for, if it is one.
template <class Value>
std::optional<Value> sole(const Field<Value> &field)
{
    const bool one =
        field.ranges.size() == 1 && field.ranges[0].first == field.ranges[0].last && !field.negated;
    return one ? std::optional(field.ranges[0].first) : std::nullopt;
}

// The family whose ICMP a protocol is, 0 if it is none.
int icmp_family(std::optional<std::uint8_t> protocol);

// LIST [/ LIST] after `word`.
Result<TcpFlags> take_flags(Reader &reader, const Word &word);

// IFNAME or IFNAME*.
Result<std::string> parse_interface(const Word &word);

} // namespace evnf::match
