// SPDX-License-Identifier: GPL-2.0-or-later
// What packets a rule is about: what people write, in nft's words, and what it means.
//
//   [in IFNAME] [vlan ID] [ip|ip6] [saddr PREFIX|ADDRESS-ADDRESS] [daddr …]
//   [protocol P | tcp | udp | sctp | icmp | icmpv6 | …] [sport P|P-P] [dport P|P-P]
//   [type T|T/CODE] [flags FLAG,… [/ FLAG,…]] [dscp D] [fragment none|first|later]
//   [length N|N-N]
//
// in any order, but for what is a protocol's (ports, type, flags), which needs that
// before it. Most values may be lists, as { 80, 443 }, all may be negated, as != 80.
// Addresses and ports may be those of a named set: saddr @NAME, daddr.dport @NAME.
// `src port` and `dst port` are read as sport and dport.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/net.hpp"
#include "base/result.hpp"
#include "match/field.hpp"
#include "match/words.hpp"

namespace evnf::match
{

// What is asked of the flags of a TCP header, its byte 13 (RFC 9293).
struct TcpFlags {
    std::uint8_t mask = 0; // 0: not asked
    std::uint8_t value = 0;
    bool negated = false;

    [[nodiscard]] bool asked() const { return mask != 0; }
    [[nodiscard]] bool allows(std::uint8_t flags) const
    {
        return ((flags & mask) == value) != negated;
    }
    friend bool operator==(const TcpFlags &, const TcpFlags &) = default;
};

// The interfaces that a packet came in by. A name that ends in * stands for all that
// begin so.
struct Interfaces {
    std::vector<std::string> names; // sorted; none: not asked
    bool negated = false;

    [[nodiscard]] bool asked() const { return !names.empty(); }
    [[nodiscard]] bool allows(std::string_view name) const;
    friend bool operator==(const Interfaces &, const Interfaces &) = default;
};

// What of a packet is looked for in a named set.
enum class SetKey { saddr, daddr, sport, dport, saddr_sport, daddr_dport };

// "daddr @servers": whether a named set, which changes without the rules, has it.
struct SetUse {
    SetKey key;
    std::string set;
    bool negated = false;
    friend auto operator<=>(const SetUse &, const SetUse &) = default;
};

// What packets a rule is about: those that every part of it allows. What is not asked
// for does not matter. What only some packets have (ports, flags, ICMP types, tags) is
// matched only by those that have it.
struct Match {
    int family = 0; // 4, 6, or 0 for both; 4 or 6 where an address is given
    Field<Address> src, dst;
    Field<std::uint8_t> protocol;      // the upper layer's, after IPv6 extension headers
    Field<std::uint16_t> sport, dport; // of TCP, UDP and SCTP: protocol asks for these alone
    Field<std::uint16_t> icmp;         // type * 256 + code, of the protocol's ICMP or ICMPv6
    TcpFlags tcp_flags;                // protocol asks for TCP alone
    Interfaces in;                     // the interface by which it came
    Field<std::uint16_t> vlan;         // the id of the outermost tag
    Field<std::uint8_t> dscp;          // 0 to 63
    Field<std::uint8_t> fragment;      // enum pkt_frag
    Field<std::uint16_t> length;       // of the IP datagram, header included, in bytes
    std::vector<SetUse> sets;          // sorted, each once

    friend bool operator==(const Match &, const Match &) = default;
};

struct Kind;
struct Values;

// Reads a text of which a match is a part, word by word.
class Reader
{
public:
    Reader(std::span<const Word> words, const Language &language)
        : words_(words),
          language_(language)
    {
    }

    [[nodiscard]] bool done() const { return words_.empty(); }
    [[nodiscard]] const Word &peek() const { return words_.front(); }
    const Word &take();
    // The value that must follow a word, if there is one.
    Result<Word> value(const Word &word, const char *example);
    [[nodiscard]] Error twice(const Word &word) const;

    // Takes one part of the match: a word that says what is to be matched, and its value.
    Result<> part();
    [[nodiscard]] const Match &match() const { return match_; }

private:
    Word take_name();
    Result<> family(const Word &word, int family);
    Result<> address(const Word &word, Field<Address> &field, SetKey key);
    Result<> protocol(const Word &word);
    Result<> protocol_word(const Word &word, std::uint8_t number);
    Result<> set_protocol(const Word &word, Field<std::uint8_t> field);
    Result<> ports(const Word &word, Field<std::uint16_t> &field, SetKey key);
    Result<> endpoints(const Word &word, SetKey key);
    Result<> icmp_type(const Word &word);
    Result<> flags(const Word &word);
    Result<> interfaces(const Word &word);
    Result<> use_set(const Word &word, const Values &values, SetKey key);
    template <class Value>
    Result<> numbers(const Word &word, Field<Value> &field, const Kind &kind);
    template <class Value>
    Result<> store_numbers(const Word &word, const Values &values, Field<Value> &field,
                           const Kind &kind);
    template <class Value>
    Result<> store(const Word &word, const Values &values, Field<Value> &field,
                   Ranges<Value> ranges, const Range<Value> &all);
    [[nodiscard]] Result<> needs_ports(const Word &word) const;
    [[nodiscard]] Result<> has_header(const Word &word) const;
    [[nodiscard]] std::string a_text_has() const;

    std::span<const Word> words_;
    const Language &language_;
    Match match_;
    std::string family_cause_; // the word that gave the match its family
};

// A text that is a match and nothing else, and not empty: a condition. Errors carry
// offset and length of the word at fault within `text`.
Result<Match> parse_match(std::string_view text);

// The one way to write a match: parse_match(text_of(m)) is m. Empty if it matches all.
std::string text_of(const Match &match);

} // namespace evnf::match
