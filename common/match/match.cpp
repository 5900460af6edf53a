// SPDX-License-Identifier: GPL-2.0-or-later
#include "match/match.hpp"

#include <netinet/in.h>

#include "abi/match.h"
#include "base/text.hpp"

namespace evnf::match
{

namespace
{

constexpr Language condition{.name = "condition", .words = {}, .synonyms = {}, .expected = ""};

bool has_ports(std::optional<std::uint8_t> protocol)
{
    return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP;
}

// The family that a protocol belongs to, 0 for both.
int family_of(std::optional<std::uint8_t> protocol)
{
    return protocol == IPPROTO_ICMP ? 4 : protocol == IPPROTO_ICMPV6 ? 6 : 0;
}

std::string_view family_word(int family)
{
    return family == 4 ? "ip" : "ip6";
}

std::string family_name(int family)
{
    return family == 4 ? "IPv4" : "IPv6";
}

Result<PortRange> port_range(const Word &word)
{
    const std::string_view w = word.text;
    const auto dash = w.find('-');
    const std::string_view low = w.substr(0, dash);
    const std::string_view high = dash == w.npos ? low : w.substr(dash + 1);
    auto first = parse_number(low, 0, MATCH_PORTS - 1, "port");
    auto last = parse_number(high, 0, MATCH_PORTS - 1, "port");
    if (!first || !last)
        return at(word, in_quotes(w) + " is not a port or range such as 80 or 8000-8080");
    if (*first > *last)
        return at(word, in_quotes(w) + " is reversed: did you mean " + std::string(high) + "-" +
                            std::string(low) + "?");
    return PortRange{static_cast<std::uint16_t>(*first), static_cast<std::uint16_t>(*last)};
}

std::string range_text(const PortRange &range)
{
    const std::string low = std::to_string(range.low);
    return range.low == range.high ? low : low + "-" + std::to_string(range.high);
}

} // namespace

const Word &Reader::take()
{
    const Word &word = words_.front();
    words_ = words_.subspan(1);
    return word;
}

Result<Word> Reader::value(const Word &word, const char *example)
{
    if (done())
        return at(word,
                  word.text + " needs a value after it, such as " + word.text + " " + example);
    return take();
}

// "a rule has", as messages say what there may be.
std::string Reader::a_text_has() const
{
    return "a " + std::string(language_.name) + " has";
}

Error Reader::twice(const Word &word) const
{
    return at(word, word.text + " is given twice: " + a_text_has() + " one");
}

// The next word; of `src port` and `dst port` both, as one.
Word Reader::take_name()
{
    Word word = take();
    if ((word.text != "src" && word.text != "dst") || done() || peek().text != "port")
        return word;
    const Word &port = take();
    return {word.text + " port", word.offset, port.offset + port.length - word.offset};
}

Result<> Reader::part()
{
    const Word word = take_name();
    const std::string &w = word.text;
    if (w == "ip" || w == "ip6")
        return family(word, w == "ip" ? 4 : 6);
    if (w == "saddr")
        return address(word, match_.src);
    if (w == "daddr")
        return address(word, match_.dst);
    if (w == "protocol")
        return protocol(word);
    if (w == "sport" || w == "src port")
        return ports(word, match_.sport);
    if (w == "dport" || w == "dst port")
        return ports(word, match_.dport);
    if (auto number = named_protocol(w))
        return set_protocol(word, *number);
    return at(word, in_quotes(w) + " is not a word of a " + std::string(language_.name) + ": " +
                        meant(w, language_));
}

// The text is about `family` because of `word`.
Result<> Reader::family(const Word &word, int family)
{
    if (match_.family && match_.family != family)
        return at(word, in_quotes(word.text) + " is about " + family_name(family) + ", but " +
                            family_cause_ + " before it about " + family_name(match_.family) +
                            ": " + a_text_has() + " one family");
    if (!match_.family)
        family_cause_ = in_quotes(word.text);
    match_.family = family;
    return Unit{};
}

Result<> Reader::address(const Word &word, std::optional<Prefix> &field)
{
    auto given = value(word, match_.family == 6 ? "2001:db8::/32" : "192.0.2.0/24");
    if (!given)
        return given.error();
    if (field)
        return twice(word);
    auto prefix = Prefix::parse(given->text);
    if (!prefix)
        return at(*given, prefix.error().what);
    if (auto r = family(*given, prefix->address.family()); !r)
        return r;
    field = *prefix;
    return Unit{};
}

Result<> Reader::protocol(const Word &word)
{
    auto given = value(word, "47");
    if (!given)
        return given.error();
    auto number = parse_protocol(given->text);
    if (!number)
        return at(*given, number.error().what);
    return set_protocol(*given, *number);
}

Result<> Reader::set_protocol(const Word &word, std::uint8_t number)
{
    if (match_.protocol)
        return at(word, "the protocol is " + protocol_text(*match_.protocol) +
                            " already: " + a_text_has() + " one, or none for all");
    if (const int f = family_of(number))
        if (auto r = family(word, f); !r)
            return r;
    match_.protocol = number;
    return Unit{};
}

Result<> Reader::ports(const Word &word, std::optional<PortRange> &field)
{
    if (!match_.protocol)
        return at(word, word.text + " needs its protocol before it: write tcp " + word.text +
                            ", udp " + word.text + " or sctp " + word.text);
    if (!has_ports(match_.protocol))
        return at(word, "protocol " + protocol_text(*match_.protocol) +
                            " has no ports: " + word.text + " goes with tcp, udp or sctp");
    auto given = value(word, "80");
    if (!given)
        return given.error();
    if (field)
        return twice(word);
    auto range = port_range(*given);
    if (!range)
        return range.error();
    field = *range;
    return Unit{};
}

Result<Match> parse_match(std::string_view text)
{
    auto words = split_words(text, condition);
    if (!words)
        return words.error();
    if (words->empty())
        return bad_input("the condition is empty: write what it matches, such as tcp dport 80");
    Reader reader(*words, condition);
    while (!reader.done())
        if (auto r = reader.part(); !r)
            return r.error();
    return reader.match();
}

std::string text_of(const Match &match)
{
    std::string out;
    auto add = [&](const std::string &words) { out += (out.empty() ? "" : " ") + words; };
    const std::string family(match.family ? family_word(match.family) : "");
    if (match.src)
        add(family + " saddr " + match.src->text());
    if (match.dst)
        add(family + " daddr " + match.dst->text());
    if (match.family && !match.src && !match.dst && !family_of(match.protocol))
        add(family);
    if (match.protocol) {
        const std::string name = protocol_text(*match.protocol);
        add(named_protocol(name) ? name : "protocol " + name);
    }
    if (match.sport)
        add("sport " + range_text(*match.sport));
    if (match.dport)
        add("dport " + range_text(*match.dport));
    return out;
}

} // namespace evnf::match
