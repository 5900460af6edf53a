// SPDX-License-Identifier: GPL-2.0-or-later
#include "match/values.hpp"

#include <net/if.h>
#include <netinet/in.h>

#include <algorithm>

#include "base/text.hpp"

namespace evnf::match
{

const Kind ports_kind{
    .what = "a port or range such as 80 or 8000-8080", .example = "80", .greatest = 65535};
const Kind protocol_kind{.what = "a protocol: tcp, udp, sctp, icmp, icmpv6, igmp, gre, esp, ah, "
                                 "ospf, vrrp, a number to 255, or a range of numbers",
                         .example = "47",
                         .greatest = 255};
const Kind vlan_kind{.what = "a VLAN id or range such as 5 or 100-199, at most 4095",
                     .example = "5",
                     .greatest = 4095};
const Kind dscp_kind{.what = "a DSCP: cs0 to cs7, af11 to af43, ef, or a number or range to 63",
                     .example = "ef",
                     .greatest = 63,
                     .names = dscp_names(),
                     .in_every_packet = true};
const Kind fragment_kind{.what = "none, first or later",
                         .example = "later",
                         .greatest = 2,
                         .names = fragment_names(),
                         .in_every_packet = true};
const Kind length_kind{.what = "a length or range in bytes, such as 1500 or 0-127",
                       .example = "0-127",
                       .greatest = 65535,
                       .in_every_packet = true};

namespace
{

bool is_quoted(const Word &word)
{
    return word.length != word.text.size();
}

bool is_mark(const Word &piece, char mark)
{
    return !is_quoted(piece) && piece.text.size() == 1 && piece.text[0] == mark;
}

// From the character at `begin` on.
Word rest_of(const Word &word, std::size_t begin)
{
    return {word.text.substr(begin), word.offset + begin, word.length - begin};
}

// A word cut before and after each of `marks`.
void cut(const Word &word, std::string_view marks, std::vector<Word> &out)
{
    if (is_quoted(word)) {
        out.push_back(word);
        return;
    }
    const std::string_view text = word.text;
    for (std::size_t i = 0; i < text.size();) {
        const auto next = text.find_first_of(marks, i);
        const auto end = next == i ? i + 1 : std::min(next, text.size());
        out.push_back({std::string(text.substr(i, end - i)), word.offset + i, end - i});
        i = end;
    }
}

// The list that begins with `first`, piece by piece, up to the end of the word with its }.
Result<std::vector<Word>> take_list(Reader &reader, const Word &first)
{
    std::vector<Word> out;
    cut(first, "{},", out);
    std::size_t seen = 0;
    for (;;) {
        for (; seen < out.size(); ++seen)
            if (is_mark(out[seen], '}'))
                return out;
        if (reader.done())
            return at(out[0], "this list does not end: a } is missing");
        cut(reader.take(), "{},", out);
    }
}

// The elements of a list, of its pieces.
Result<> read_list(const std::vector<Word> &pieces, Values &values)
{
    bool value_next = true;
    for (std::size_t i = 1;; ++i) {
        const Word &piece = pieces[i];
        const bool end = is_mark(piece, '}');
        if (value_next && end && values.elements.empty())
            return at(piece, "the list is empty: write values in it, as { 1, 2 }");
        if (value_next && (end || is_mark(piece, ',')))
            return at(piece, "a value is missing before this " + in_quotes(piece.text));
        if (end && i + 1 < pieces.size())
            return at(pieces[i + 1], "a blank is missing after the list, which ends with }");
        if (end) {
            values.whole.length = piece.offset + piece.length - values.whole.offset;
            return Unit{};
        }
        if (is_mark(piece, '{'))
            return at(piece, "a list does not stand in a list: leave out the inner braces");
        if (!value_next && !is_mark(piece, ','))
            return at(piece, "a comma is missing before " + in_quotes(piece.text) + " in the list");
        if (value_next && piece.text.starts_with('@'))
            return at(piece,
                      in_quotes(piece.text) + " is a set, which stands alone, not in a list");
        if (value_next)
            values.elements.push_back(piece);
        value_next = !value_next;
    }
}

Error not_one(const Word &word, std::string_view what)
{
    const bool several = word.text.find(',') != std::string::npos;
    return at(word, in_quotes(word.text) + " is not " + std::string(what) +
                        (several ? "; write several in braces, as { 1, 2 }" : ""));
}

Error reversed(const Word &word, std::string_view first, std::string_view last)
{
    return at(word, in_quotes(word.text) + " is reversed: did you mean " + std::string(last) + "-" +
                        std::string(first) + "?");
}

// "N" or "N-N" of `word`, which is not `what` else.
Result<Range<std::uint16_t>> number_range(const Word &word, std::string_view text,
                                          std::uint16_t greatest, std::string_view what)
{
    const auto dash = text.find('-');
    const std::string_view low = text.substr(0, dash);
    const std::string_view high = dash == text.npos ? low : text.substr(dash + 1);
    auto first = parse_number(low, 0, greatest, "number");
    auto last = parse_number(high, 0, greatest, "number");
    if (!first || !last)
        return not_one(word, what);
    if (*first > *last)
        return reversed(word, low, high);
    return Range<std::uint16_t>{static_cast<std::uint16_t>(*first),
                                static_cast<std::uint16_t>(*last)};
}

// The word after `word`, and after != if that is there.
Result<Word> take_first(Reader &reader, const Word &word, const char *example, bool &negated)
{
    auto next = reader.value(word, example);
    negated = next && !is_quoted(*next) && next->text.starts_with("!=");
    if (!negated)
        return next;
    if (next->text.size() > 2)
        return rest_of(*next, 2);
    return reader.value({word.text + " !=", next->offset, next->length}, example);
}

} // namespace

Result<Values> take_values(Reader &reader, const Word &word, const char *example)
{
    Values out;
    auto next = take_first(reader, word, example, out.negated);
    if (!next)
        return next.error();
    out.whole = *next;
    if (is_quoted(*next) || !next->text.starts_with('{')) {
        out.elements.push_back(*next);
        return out;
    }
    auto pieces = take_list(reader, *next);
    if (!pieces)
        return pieces.error();
    if (auto r = read_list(*pieces, out); !r)
        return r.error();
    return out;
}

Result<Range<std::uint16_t>> parse_numbers(const Word &word, const Kind &kind)
{
    if (const auto value = value_named(kind.names, word.text))
        return Range<std::uint16_t>{*value, *value};
    return number_range(word, word.text, kind.greatest, kind.what);
}

Result<Range<std::uint16_t>> parse_icmp(const Word &word, std::uint8_t protocol)
{
    const std::string what = "a type of " + protocol_text(protocol) +
                             " such as echo-request, 8, 8-10, or with its code 3/4";
    const std::string_view text = word.text;
    const auto slash = text.find('/');
    const std::string_view type = text.substr(0, slash);
    Range<std::uint16_t> types{};
    if (const auto named = value_named(icmp_types(protocol), type)) {
        types = {*named, *named};
    } else {
        auto given = number_range(word, type, 255, what);
        if (!given)
            return given.error();
        types = *given;
    }
    Range<std::uint16_t> codes{0, 255};
    if (slash != text.npos) {
        auto given = number_range(word, text.substr(slash + 1), 255, what);
        if (!given)
            return given.error();
        if (types.first != types.last)
            return not_one(word, what);
        codes = *given;
    }
    return Range<std::uint16_t>{static_cast<std::uint16_t>(types.first * 256 + codes.first),
                                static_cast<std::uint16_t>(types.last * 256 + codes.last)};
}

Result<Range<Address>> parse_addresses(const Word &word)
{
    const std::string_view text = word.text;
    const auto dash = text.find('-');
    if (dash == text.npos) {
        auto prefix = Prefix::parse(text);
        if (!prefix && text.find(',') != text.npos)
            return not_one(word, "an address or prefix such as 192.0.2.0/24");
        if (!prefix)
            return at(word, prefix.error().what);
        return range_of(*prefix);
    }
    auto first = Address::parse(text.substr(0, dash));
    auto last = Address::parse(text.substr(dash + 1));
    if (!first || !last)
        return not_one(word, "a range of addresses such as 192.0.2.1-192.0.2.9");
    if (first->family() != last->family())
        return at(word, in_quotes(text) + " goes from IPv" + std::to_string(first->family()) +
                            " to IPv" + std::to_string(last->family()) +
                            ": a range has one family");
    if (*last < *first)
        return reversed(word, text.substr(0, dash), text.substr(dash + 1));
    return Range<Address>{*first, *last};
}

Range<Address> all_addresses(int family)
{
    if (family == 6)
        return {Space<Address>::least(), Space<Address>::greatest()};
    return {Address(ip_addr{{0, 0, htonl(0xffff), 0}}),
            Address(ip_addr{{0, 0, htonl(0xffff), ~0U}})};
}

int icmp_family(std::optional<std::uint8_t> protocol)
{
    return protocol == IPPROTO_ICMP ? 4 : protocol == IPPROTO_ICMPV6 ? 6 : 0;
}

Result<TcpFlags> take_flags(Reader &reader, const Word &word)
{
    bool negated = false;
    auto next = take_first(reader, word, "syn", negated);
    if (!next)
        return next.error();
    std::vector<Word> pieces;
    cut(*next, ",/", pieces);
    const auto goes_on = [&] {
        return is_mark(pieces.back(), ',') || is_mark(pieces.back(), '/') ||
               reader.peek().text.starts_with(',') || reader.peek().text.starts_with('/');
    };
    while (!reader.done() && goes_on())
        cut(reader.take(), ",/", pieces);

    unsigned list[2]{};
    bool masked = false;
    bool flag_next = true;
    for (const auto &piece : pieces) {
        const auto flag = value_named(tcp_flag_names(), piece.text);
        if (flag_next != flag.has_value() ||
            (!flag_next && !is_mark(piece, ',') && (masked || !is_mark(piece, '/'))))
            return at(piece, in_quotes(piece.text) +
                                 " is wrong in a list of flags: write fin, syn, rst, psh, ack, "
                                 "urg, ecn and cwr as in flags syn,ack or flags syn / syn,ack");
        if (flag)
            list[masked] |= *flag;
        masked = masked || is_mark(piece, '/');
        flag_next = !flag_next;
    }
    if (flag_next)
        return at(pieces.back(), "a flag is missing after this " + in_quotes(pieces.back().text));
    if (!masked) // one of them at least
        return TcpFlags{static_cast<std::uint8_t>(list[0]), 0, !negated};
    if (list[0] & ~list[1])
        return at(pieces.front(), "flags before the / must be among those after it: " +
                                      std::string(negated ? "every" : "no") +
                                      " packet would match");
    if ((list[1] & (list[1] - 1)) == 0) // of one flag, "set" is what it is without a mask
        return TcpFlags{static_cast<std::uint8_t>(list[1]), 0, !negated};
    return TcpFlags{static_cast<std::uint8_t>(list[1]), static_cast<std::uint8_t>(list[0]),
                    negated};
}

Result<std::string> parse_interface(const Word &word)
{
    const std::string &name = word.text;
    const auto begin = name.substr(0, name.find('*'));
    const bool good = !name.empty() && name.size() < IFNAMSIZ && name != "." && name != ".." &&
                      (begin.size() == name.size() || begin.size() + 1 == name.size()) &&
                      name.find_first_of(" \t/:,{}@!") == name.npos;
    if (!good)
        return not_one(word, "the name of an interface, such as eth0, or the start of one, such "
                             "as veth*");
    return name;
}

} // namespace evnf::match
