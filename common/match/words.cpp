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

constexpr std::array<std::string_view, 21> words_of_match{
    "in",   "vlan",  "ip",   "ip6",      "saddr",  "daddr",       "protocol",
    "tcp",  "udp",   "sctp", "icmp",     "icmpv6", "sport",       "dport",
    "type", "flags", "dscp", "fragment", "length", "saddr.sport", "daddr.dport"};

constexpr std::array synonyms_of_match{
    Synonym{"src", "saddr"},
    Synonym{"from", "saddr"},
    Synonym{"-s", "saddr"},
    Synonym{"--src", "saddr"},
    Synonym{"--source", "saddr"},
    Synonym{"dst", "daddr"},
    Synonym{"to", "daddr"},
    Synonym{"-d", "daddr"},
    Synonym{"--dst", "daddr"},
    Synonym{"--destination", "daddr"},
    Synonym{"port", "dport"},
    Synonym{"--dport", "dport"},
    Synonym{"--dports", "dport"},
    Synonym{"--destination-port", "dport"},
    Synonym{"--sport", "sport"},
    Synonym{"--sports", "sport"},
    Synonym{"--source-port", "sport"},
    Synonym{"proto", "protocol"},
    Synonym{"l4proto", "protocol"},
    Synonym{"nexthdr", "protocol"},
    Synonym{"-p", "protocol"},
    Synonym{"--protocol", "protocol"},
    Synonym{"ipv4", "ip"},
    Synonym{"inet", "ip"},
    Synonym{"-4", "ip"},
    Synonym{"ipv6", "ip6"},
    Synonym{"inet6", "ip6"},
    Synonym{"-6", "ip6"},
    Synonym{"ping", "icmp"},
    Synonym{"icmp6", "icmpv6"},
    Synonym{"ipv6-icmp", "icmpv6"},
    Synonym{"icmp-type", "type"},
    Synonym{"--icmp-type", "type"},
    Synonym{"--icmpv6-type", "type"},
    Synonym{"iif", "in"},
    Synonym{"iifname", "in"},
    Synonym{"-i", "in"},
    Synonym{"--in-interface", "in"},
    Synonym{"tos", "dscp"},
    Synonym{"--dscp", "dscp"},
    Synonym{"frag", "fragment"},
    Synonym{"-f", "fragment != { none, first }"},
    Synonym{"frag-off", "fragment"},
    Synonym{"tcp-flags", "flags"},
    Synonym{"--tcp-flags", "flags"},
    Synonym{"--syn", "flags syn / fin,syn,rst,ack"},
    Synonym{"not", "!="},
    Synonym{"!", "!="},
};

constexpr std::array hints_of_match{
    Hint{"meta", "leave it out: what follows stands by itself"},
    Hint{"th", "write the protocols, as in protocol { tcp, udp } dport 53"},
    Hint{"multiport", "write several ports as { 80, 443 }"},
    Hint{"code", "write it after its type, as in icmp type 3/4"},
    Hint{"{", "a list comes after what it is a list of, as in dport { 80, 443 }"},
    Hint{"!=", "it comes after what it negates, as in dport != 80"},
    Hint{"==", "leave it out: dport 80 is what dport == 80 would be"},
    Hint{"oif", "where a packet leaves is not known here, only where it came in: in IFNAME"},
    Hint{"oifname", "where a packet leaves is not known here, only where it came in: in IFNAME"},
    Hint{"-o", "where a packet leaves is not known here, only where it came in: in IFNAME"},
};

// Whether it is rather a value: of bash, {80,443} becomes two words.
bool is_value(std::string_view word)
{
    return !word.empty() && word.front() >= '0' && word.front() <= '9';
}

bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// In a name, after its first letter.
bool may_follow(char c)
{
    return is_letter(c) || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
}

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

bool is_name(std::string_view word)
{
    constexpr std::size_t longest = 63;
    return !word.empty() && word.size() <= longest && is_letter(word.front()) &&
           std::all_of(word.begin(), word.end(), may_follow);
}

Word set_in(std::string_view text, std::string_view name)
{
    const std::string used = "@" + std::string(name);
    auto i = text.find(used);
    while (i + used.size() < text.size() && may_follow(text[i + used.size()]))
        i = text.find(used, i + 1);
    return {used, i, used.size()};
}

std::string meant(std::string_view word, const Language &language)
{
    for (const auto hints : {std::span<const Hint>(hints_of_match), language.hints})
        for (const auto &h : hints)
            if (h.theirs == word)
                return std::string(h.mend);
    for (const auto synonyms : {std::span<const Synonym>(synonyms_of_match), language.synonyms})
        for (const auto &s : synonyms)
            if (s.theirs == word)
                return "did you mean " + std::string(s.ours) + "?";
    if (is_value(word))
        return "a value follows the word that it is for, as in dport 80; several are written "
               "{ 80, 443 }, in a shell within quotes";
    std::vector<std::string_view> known(words_of_match.begin(), words_of_match.end());
    known.insert(known.end(), language.words.begin(), language.words.end());
    const auto nearest = std::min_element(known.begin(), known.end(), [&](auto a, auto b) {
        return distance(a, word) < distance(b, word);
    });
    // A short word is near to any other.
    if (distance(*nearest, word) * 2 < word.size())
        return "did you mean " + std::string(*nearest) + "?";
    return "expected in, vlan, ip, ip6, saddr, daddr, protocol, tcp, udp, sctp, icmp, icmpv6, "
           "sport, dport, type, flags, dscp, fragment, length" +
           std::string(language.expected);
}

} // namespace evnf::match
