// SPDX-License-Identifier: GPL-2.0-or-later
#include "match/words.hpp"

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

#include "base/net.hpp"
#include "base/text.hpp"

namespace evnf::match
{

namespace
{

constexpr std::array<std::string_view, 12> words_of_match{"ip",       "ip6",    "saddr", "daddr",
                                                          "protocol", "tcp",    "udp",   "sctp",
                                                          "icmp",     "icmpv6", "sport", "dport"};

constexpr std::array synonyms_of_match{
    Synonym{"src", "saddr"},        Synonym{"from", "saddr"}, Synonym{"dst", "daddr"},
    Synonym{"to", "daddr"},         Synonym{"port", "dport"}, Synonym{"proto", "protocol"},
    Synonym{"ipv4", "ip"},          Synonym{"inet", "ip"},    Synonym{"ipv6", "ip6"},
    Synonym{"inet6", "ip6"},        Synonym{"ping", "icmp"},  Synonym{"l4proto", "protocol"},
    Synonym{"nexthdr", "protocol"},
};

// How many letters must change to make one of the other (Levenshtein).
std::size_t distance(std::string_view a, std::string_view b)
{
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), 0U);
    for (std::size_t i = 0; i < a.size(); ++i) {
        std::size_t diagonal = std::exchange(row[0], i + 1);
        for (std::size_t j = 0; j < b.size(); ++j) {
            const std::size_t replaced = diagonal + (a[i] != b[j]);
            diagonal = row[j + 1];
            row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
        }
    }
    return row.back();
}

// The bytes of the UTF-8 character at the start of `s`, 0 if it is none (RFC 3629).
std::size_t utf8_length(std::string_view s)
{
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(s[i]); };
    const std::size_t n = byte(0) < 0x80                      ? 1
                          : byte(0) >= 0xc2 && byte(0) < 0xe0 ? 2
                          : byte(0) >= 0xe0 && byte(0) < 0xf0 ? 3
                          : byte(0) >= 0xf0 && byte(0) < 0xf5 ? 4
                                                              : 0;
    if (n == 0 || n > s.size())
        return 0;
    for (std::size_t i = 1; i < n; ++i)
        if ((byte(i) & 0xc0) != 0x80)
            return 0;
    const bool overlong =
        (byte(0) == 0xe0 && byte(1) < 0xa0) || (byte(0) == 0xf0 && byte(1) < 0x90);
    const bool beyond = (byte(0) == 0xed && byte(1) > 0x9f) || (byte(0) == 0xf4 && byte(1) > 0x8f);
    return overlong || beyond ? 0 : n;
}

Result<> check_characters(std::string_view text, const Language &language)
{
    const std::string name = "the " + std::string(language.name);
    for (std::size_t i = 0; i < text.size();) {
        const std::size_t n = utf8_length(text.substr(i));
        if (n == 0)
            return bad_input(name + " is not UTF-8 here", "", i, 1);
        const auto c = static_cast<unsigned char>(text[i]);
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return bad_input(name + " has a control character here: it is one line of text", "", i,
                             1);
        i += n;
    }
    return Unit{};
}

} // namespace

Result<std::vector<Word>> split_words(std::string_view text, const Language &language)
{
    if (auto r = check_characters(text, language); !r)
        return r.error();
    std::vector<Word> words;
    constexpr std::string_view blanks = " \t";
    for (auto i = text.find_first_not_of(blanks); i != text.npos;
         i = text.find_first_not_of(blanks, i)) {
        const bool in_quotes = text[i] == '"';
        auto end = in_quotes ? text.find('"', i + 1) : text.find_first_of(" \t\"", i);
        if (in_quotes && end == text.npos)
            return bad_input("this quotation does not end: a \" is missing", "", i,
                             text.size() - i);
        end = end == text.npos ? text.size() : end + (in_quotes ? 1U : 0U);
        const auto inner = in_quotes ? text.substr(i + 1, end - i - 2) : text.substr(i, end - i);
        words.push_back({std::string(inner), i, end - i});
        i = end;
    }
    return words;
}

std::optional<std::uint8_t> named_protocol(std::string_view word)
{
    if (word.empty() || (word.front() >= '0' && word.front() <= '9'))
        return std::nullopt;
    auto number = parse_protocol(word);
    return number ? std::optional(*number) : std::nullopt;
}

std::string meant(std::string_view word, const Language &language)
{
    for (const auto synonyms : {std::span<const Synonym>(synonyms_of_match), language.synonyms})
        for (const auto &s : synonyms)
            if (s.theirs == word)
                return "did you mean " + std::string(s.ours) + "?";
    std::vector<std::string_view> known(words_of_match.begin(), words_of_match.end());
    known.insert(known.end(), language.words.begin(), language.words.end());
    const auto nearest = std::min_element(known.begin(), known.end(), [&](auto a, auto b) {
        return distance(a, word) < distance(b, word);
    });
    // A short word is near to any other.
    if (distance(*nearest, word) * 2 < word.size())
        return "did you mean " + std::string(*nearest) + "?";
    return "expected ip, ip6, saddr, daddr, protocol, tcp, udp, sctp, icmp, icmpv6, sport, dport" +
           std::string(language.expected);
}

} // namespace evnf::match
