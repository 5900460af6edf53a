// SPDX-License-Identifier: GPL-2.0-or-later
// What packets a rule is about: what people write, in nft's words, and what it means.
//
//   [ip|ip6] [ip saddr PREFIX] [ip daddr PREFIX]
//   [protocol P | tcp | udp | sctp | icmp | icmpv6] [sport P|P-P] [dport P|P-P]
//
// in any order, but for ports, which need their protocol before them. `src port` and
// `dst port` are read as sport and dport.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/net.hpp"
#include "base/result.hpp"
#include "match/words.hpp"

namespace evnf::match
{

struct PortRange {
    std::uint16_t low = 0;
    std::uint16_t high = 0; // included
    friend bool operator==(const PortRange &, const PortRange &) = default;
};

// What is not given does not matter.
struct Match {
    int family = 0; // 4, 6, or 0 for both
    std::optional<Prefix> src, dst;
    std::optional<std::uint8_t> protocol;
    std::optional<PortRange> sport, dport;

    friend bool operator==(const Match &, const Match &) = default;
};

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
    Result<> address(const Word &word, std::optional<Prefix> &field);
    Result<> protocol(const Word &word);
    Result<> set_protocol(const Word &word, std::uint8_t number);
    Result<> ports(const Word &word, std::optional<PortRange> &field);
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
