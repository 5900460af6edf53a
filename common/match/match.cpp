// SPDX-License-Identifier: GPL-2.0-or-later
#include "match/match.hpp"

#include <netinet/in.h>

#include <algorithm>
#include <array>

#include "abi/pkt.h"
#include "base/text.hpp"
#include "match/values.hpp"

namespace evnf::match
{

namespace
{

constexpr Language condition{.name = "condition"};

bool has_ports(std::uint8_t protocol)
{
    return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP;
}

// Whether it asks for protocols, and only for such as `is`.
bool asks_only(const Field<std::uint8_t> &protocol, bool (*is)(std::uint8_t))
{
    if (!protocol.asked())
        return false;
    for (unsigned p = 0; p <= 255; ++p)
        if (protocol.allows(static_cast<std::uint8_t>(p)) && !is(static_cast<std::uint8_t>(p)))
            return false;
    return true;
}

std::string family_name(int family)
{
    return family == 4 ? "IPv4" : "IPv6";
}

// The protocols that are asked for, for people.
std::string protocols_text(const Field<std::uint8_t> &protocol)
{
    return text_of(Match{.protocol = protocol});
}

bool asks_for_port(SetKey key)
{
    return key != SetKey::saddr && key != SetKey::daddr;
}

// Takes the names that others in the list, with a *, stand for already.
void reduce(std::vector<std::string> &names)
{
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    const auto all = names;
    std::erase_if(names, [&](const std::string &name) {
        return std::any_of(all.begin(), all.end(), [&](const std::string &other) {
            return other != name && other.ends_with('*') &&
                   name.starts_with(std::string_view(other).substr(0, other.size() - 1));
        });
    });
}

} // namespace

bool Interfaces::allows(std::string_view name) const
{
    const bool in = std::any_of(names.begin(), names.end(), [&](std::string_view n) {
        return n.ends_with('*') ? name.starts_with(n.substr(0, n.size() - 1)) : name == n;
    });
    return !asked() || in != negated;
}

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
    struct Part {
        std::string_view name;
        Result<> (*read)(Reader &, const Word &);
    };
    using R = Reader &;
    using W = const Word &;
    static constexpr std::array parts{
        Part{"ip", [](R r, W w) { return r.family(w, 4); }},
        Part{"ip6", [](R r, W w) { return r.family(w, 6); }},
        Part{"saddr", [](R r, W w) { return r.address(w, r.match_.src, SetKey::saddr); }},
        Part{"daddr", [](R r, W w) { return r.address(w, r.match_.dst, SetKey::daddr); }},
        Part{"protocol", [](R r, W w) { return r.protocol(w); }},
        Part{"sport", [](R r, W w) { return r.ports(w, r.match_.sport, SetKey::sport); }},
        Part{"src port", [](R r, W w) { return r.ports(w, r.match_.sport, SetKey::sport); }},
        Part{"dport", [](R r, W w) { return r.ports(w, r.match_.dport, SetKey::dport); }},
        Part{"dst port", [](R r, W w) { return r.ports(w, r.match_.dport, SetKey::dport); }},
        Part{"saddr.sport", [](R r, W w) { return r.endpoints(w, SetKey::saddr_sport); }},
        Part{"daddr.dport", [](R r, W w) { return r.endpoints(w, SetKey::daddr_dport); }},
        Part{"type", [](R r, W w) { return r.icmp_type(w); }},
        Part{"flags", [](R r, W w) { return r.flags(w); }},
        Part{"in", [](R r, W w) { return r.interfaces(w); }},
        Part{"vlan", [](R r, W w) { return r.numbers(w, r.match_.vlan, vlan_kind); }},
        Part{"dscp", [](R r, W w) { return r.numbers(w, r.match_.dscp, dscp_kind); }},
        Part{"fragment", [](R r, W w) { return r.numbers(w, r.match_.fragment, fragment_kind); }},
        Part{"length", [](R r, W w) { return r.numbers(w, r.match_.length, length_kind); }},
    };
    const Word word = take_name();
    const auto part = std::find_if(parts.begin(), parts.end(),
                                   [&](const Part &p) { return p.name == word.text; });
    if (part != parts.end()) {
        if (auto r = part->read(*this, word); !r)
            return r;
        return has_header(word);
    }
    if (auto number = named_protocol(word.text))
        return protocol_word(word, *number);
    return at(word, in_quotes(word.text) + " is not a word of a " + std::string(language_.name) +
                        ": " + meant(word.text, language_));
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

// Puts the ranges that were given into their field, of which `all` are the values.
template <class Value>
Result<> Reader::store(const Word &word, const Values &values, Field<Value> &field,
                       Ranges<Value> ranges, const Range<Value> &all)
{
    if (field.asked())
        return twice(word);
    ranges = normalized(std::move(ranges));
    if (values.negated && ranges == Ranges<Value>{all})
        return at(values.whole, word.text + " != excludes every value there is: no packet would "
                                            "match, so take something from what it excludes");
    field = {std::move(ranges), values.negated};
    return Unit{};
}

template <class Value>
Result<> Reader::numbers(const Word &word, Field<Value> &field, const Kind &kind)
{
    auto values = take_values(*this, word, kind.example);
    return values ? store_numbers(word, *values, field, kind) : values.error();
}

template <class Value>
Result<> Reader::store_numbers(const Word &word, const Values &values, Field<Value> &field,
                               const Kind &kind)
{
    Ranges<Value> ranges;
    for (const auto &element : values.elements) {
        auto r = parse_numbers(element, kind);
        if (!r)
            return r.error();
        ranges.push_back({static_cast<Value>(r->first), static_cast<Value>(r->last)});
    }
    const Range<Value> all{0, static_cast<Value>(kind.greatest)};
    if (auto r = store(word, values, field, std::move(ranges), all); !r)
        return r;
    if (kind.in_every_packet && field.ranges == Ranges<Value>{all})
        return at(values.whole, "every packet has one of these: leave " + word.text + " out");
    return Unit{};
}

Result<> Reader::use_set(const Word &word, const Values &values, SetKey key)
{
    const Word &given = values.elements[0];
    const std::string name = given.text.substr(1);
    if (!is_name(name))
        return at(given, in_quotes(given.text) + " is not the name of a set: @, a letter, and up "
                                                 "to 62 letters, digits, _, - or .");
    SetUse use{key, name, values.negated};
    auto &sets = match_.sets;
    const auto before = std::find_if(
        sets.begin(), sets.end(), [&](const SetUse &s) { return s.key == key && s.set == name; });
    if (before != sets.end() && before->negated != use.negated)
        return at(given, "no packet would match: " + word.text + " is to be in " + given.text +
                             " and not in it");
    if (before != sets.end())
        return at(given, word.text + " is looked for in " + given.text + " twice: once is enough");
    sets.insert(std::upper_bound(sets.begin(), sets.end(), use), std::move(use));
    return Unit{};
}

Result<> Reader::address(const Word &word, Field<Address> &field, SetKey key)
{
    auto values = take_values(*this, word, match_.family == 6 ? "2001:db8::/32" : "192.0.2.0/24");
    if (!values)
        return values.error();
    if (values->is_set())
        return use_set(word, *values, key);
    if (field.asked())
        return twice(word);
    Ranges<Address> ranges;
    for (const auto &element : values->elements) {
        auto range = parse_addresses(element);
        if (!range)
            return range.error();
        if (auto r = family(element, range->first.family()); !r)
            return r;
        ranges.push_back(*range);
    }
    return store(word, *values, field, std::move(ranges), all_addresses(match_.family));
}

Result<> Reader::protocol(const Word &word)
{
    auto values = take_values(*this, word, protocol_kind.example);
    if (!values)
        return values.error();
    Ranges<std::uint8_t> ranges;
    for (const auto &element : values->elements) {
        if (const auto number = named_protocol(element.text)) {
            ranges.push_back({*number, *number});
            continue;
        }
        auto r = parse_numbers(element, protocol_kind);
        if (!r)
            return r.error();
        ranges.push_back({static_cast<std::uint8_t>(r->first), static_cast<std::uint8_t>(r->last)});
    }
    Field<std::uint8_t> field;
    if (auto r = store(word, *values, field, std::move(ranges), {0, 255}); !r)
        return r;
    return set_protocol(values->whole, std::move(field));
}

Result<> Reader::protocol_word(const Word &word, std::uint8_t number)
{
    return set_protocol(word, {{{number, number}}});
}

Result<> Reader::set_protocol(const Word &word, Field<std::uint8_t> field)
{
    if (match_.protocol.asked())
        return at(word, "it is " + protocols_text(match_.protocol) + " already: " + a_text_has() +
                            " one protocol, a list of them, as in protocol { tcp, udp }, or none "
                            "for all");
    if (const int f = icmp_family(sole(field)))
        if (auto r = family(word, f); !r)
            return r;
    match_.protocol = std::move(field);
    return Unit{};
}

Result<> Reader::needs_ports(const Word &word) const
{
    if (!match_.protocol.asked())
        return at(word, word.text + " needs its protocol before it: write tcp " + word.text +
                            ", udp " + word.text + " or sctp " + word.text +
                            ", or protocol { tcp, udp } " + word.text);
    if (!asks_only(match_.protocol, has_ports))
        return at(word, protocols_text(match_.protocol) + " has no ports: " + word.text +
                            " goes with tcp, udp or sctp");
    return Unit{};
}

Result<> Reader::ports(const Word &word, Field<std::uint16_t> &field, SetKey key)
{
    if (auto r = needs_ports(word); !r)
        return r;
    auto values = take_values(*this, word, ports_kind.example);
    if (!values)
        return values.error();
    return values->is_set() ? use_set(word, *values, key)
                            : store_numbers(word, *values, field, ports_kind);
}

Result<> Reader::endpoints(const Word &word, SetKey key)
{
    if (auto r = needs_ports(word); !r)
        return r;
    auto values = take_values(*this, word, "@servers");
    if (!values)
        return values.error();
    if (!values->is_set())
        return at(values->whole,
                  word.text + " is looked for in a set: write " + word.text + " @NAME");
    return use_set(word, *values, key);
}

Result<> Reader::icmp_type(const Word &word)
{
    const auto protocol = sole(match_.protocol);
    if (!icmp_family(protocol))
        return at(word, "type is of ICMP messages: write icmp type or icmpv6 type");
    auto values = take_values(*this, word, "echo-request");
    if (!values)
        return values.error();
    Ranges<std::uint16_t> ranges;
    for (const auto &element : values->elements) {
        auto r = parse_icmp(element, *protocol);
        if (!r)
            return r.error();
        ranges.push_back(*r);
    }
    return store(word, *values, match_.icmp, std::move(ranges), {0, 65535});
}

Result<> Reader::flags(const Word &word)
{
    if (sole(match_.protocol) != IPPROTO_TCP)
        return at(word, "flags are of TCP: write tcp flags");
    auto flags = take_flags(*this, word);
    if (!flags)
        return flags.error();
    if (match_.tcp_flags.asked())
        return twice(word);
    match_.tcp_flags = *flags;
    return Unit{};
}

Result<> Reader::interfaces(const Word &word)
{
    auto values = take_values(*this, word, "eth0");
    if (!values)
        return values.error();
    if (match_.in.asked())
        return twice(word);
    std::vector<std::string> names;
    for (const auto &element : values->elements) {
        auto name = parse_interface(element);
        if (!name)
            return name.error();
        if (*name == "*")
            return at(element, "* is every interface: leave it out, or write the start of a name "
                               "before it, such as veth*");
        names.push_back(*std::move(name));
    }
    reduce(names);
    match_.in = {std::move(names), values->negated};
    return Unit{};
}

// What is asked of ports, types or flags is asked in vain of later fragments, which do not
// have them.
Result<> Reader::has_header(const Word &word) const
{
    const bool asked = match_.sport.asked() || match_.dport.asked() || match_.icmp.asked() ||
                       match_.tcp_flags.asked() ||
                       std::any_of(match_.sets.begin(), match_.sets.end(),
                                   [](const SetUse &use) { return asks_for_port(use.key); });
    if (asked && !match_.fragment.allows(PKT_FRAG_NONE) && !match_.fragment.allows(PKT_FRAG_FIRST))
        return at(word, "no packet would match: later fragments have no ports, types or flags");
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

} // namespace evnf::match
