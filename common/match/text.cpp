// SPDX-License-Identifier: GPL-2.0-or-later
// The canonical text of a match.
#include <algorithm>

#include "match/match.hpp"
#include "match/names.hpp"
#include "match/values.hpp"

namespace evnf::match
{

namespace
{

using Texts = std::vector<std::string>;

std::string joined(const Texts &texts, std::string_view separator)
{
    std::string out;
    for (const auto &t : texts)
        out += (out.empty() ? "" : std::string(separator)) + t;
    return out;
}

// " 80", " != 80" or " { 80, 443 }"
std::string values_text(bool negated, const Texts &texts)
{
    const std::string sign = negated ? " != " : " ";
    return texts.size() == 1 ? sign + texts[0] : sign + "{ " + joined(texts, ", ") + " }";
}

std::string range_text(unsigned first, unsigned last)
{
    return std::to_string(first) + (first == last ? "" : "-" + std::to_string(last));
}

// One range: by name, each by its own, if all of it has names; else as numbers.
template <class NameOf>
void append_range(Texts &out, unsigned first, unsigned last, const NameOf &name)
{
    Texts names;
    for (unsigned v = first; v <= last && names.size() == v - first; ++v)
        if (const std::string n(name(v)); !n.empty())
            names.push_back(n);
    if (names.size() == last - first + 1)
        out.insert(out.end(), names.begin(), names.end());
    else
        out.push_back(range_text(first, last));
}

template <class Value, class NameOf>
Texts texts_of(const Ranges<Value> &ranges, const NameOf &name)
{
    Texts out;
    for (const auto &r : ranges)
        append_range(out, r.first, r.last, name);
    return out;
}

template <class Value>
Texts texts_of(const Ranges<Value> &ranges, NameTable names = {})
{
    return texts_of(ranges, [&](unsigned v) { return name_of(names, v); });
}

std::string protocol_name(unsigned number)
{
    std::string name = protocol_text(static_cast<std::uint8_t>(number));
    return named_protocol(name) ? name : "";
}

// Of a range of types and codes: codes of the first type, whole types, codes of the last.
Texts icmp_texts(const Ranges<std::uint16_t> &ranges, NameTable types)
{
    Texts out;
    for (const auto &r : ranges) {
        unsigned first = r.first;
        const unsigned end = r.last + 1U;
        const auto codes = [&](unsigned until) {
            out.push_back(std::to_string(first / 256) + "/" +
                          range_text(first % 256, (until - 1) % 256));
            first = until;
        };
        if (const unsigned next = (first / 256 + 1) * 256; first % 256 != 0 && next <= end)
            codes(next);
        if (first % 256 == 0 && first + 256 <= end) {
            append_range(out, first / 256, end / 256 - 1,
                         [&](unsigned v) { return name_of(types, v); });
            first = end / 256 * 256;
        }
        if (first < end)
            codes(end);
    }
    return out;
}

// A range of IPv6 addresses may end where IPv4-mapped ones do, which have no text of
// their own. Its end then was a prefix that has all of them: the last such is this.
void append_addresses(Texts &out, const Range<Address> &range)
{
    static const Prefix to_mapped = *Prefix::parse("::fffe:0:0/95");
    const Prefix whole = covering(range);
    if (range_of(whole) == range) {
        out.push_back(whole.text());
    } else if (range.first.is_v4() == range.last.is_v4()) {
        out.push_back(range.first.text() + "-" + range.last.text());
    } else {
        append_addresses(out, {range.first, Space<Address>::before(to_mapped.address)});
        out.push_back(to_mapped.text());
    }
}

Texts texts_of(const Ranges<Address> &ranges)
{
    Texts out;
    for (const auto &r : ranges)
        append_addresses(out, r);
    return out;
}

std::string flag_list(unsigned bits)
{
    Texts out;
    for (const auto &flag : tcp_flag_names())
        if (bits & flag.value)
            out.emplace_back(flag.name);
    return joined(out, ",");
}

std::string flags_text(const TcpFlags &flags)
{
    if (flags.value == 0) // not any of them, so that its negation is the plain case
        return (flags.negated ? " " : " != ") + flag_list(flags.mask);
    return (flags.negated ? " != " : " ") + flag_list(flags.value) + " / " + flag_list(flags.mask);
}

const char *key_text(SetKey key)
{
    switch (key) {
    case SetKey::saddr:
        return "saddr";
    case SetKey::daddr:
        return "daddr";
    case SetKey::sport:
        return "sport";
    case SetKey::dport:
        return "dport";
    case SetKey::saddr_sport:
        return "saddr.sport";
    case SetKey::daddr_dport:
        break;
    }
    return "daddr.dport";
}

class Writer
{
public:
    explicit Writer(const Match &match) : match_(match) {}

    std::string text()
    {
        if (match_.in.asked())
            add("in" + values_text(match_.in.negated, match_.in.names));
        field("vlan", match_.vlan, texts_of(match_.vlan.ranges));
        addresses();
        sets({SetKey::saddr, SetKey::daddr});
        protocol();
        field("sport", match_.sport, texts_of(match_.sport.ranges));
        field("dport", match_.dport, texts_of(match_.dport.ranges));
        sets({SetKey::sport, SetKey::dport, SetKey::saddr_sport, SetKey::daddr_dport});
        field("type", match_.icmp,
              icmp_texts(match_.icmp.ranges, icmp_types(sole(match_.protocol).value_or(0))));
        if (match_.tcp_flags.asked())
            add("flags" + flags_text(match_.tcp_flags));
        field("dscp", match_.dscp, texts_of(match_.dscp.ranges, dscp_names()));
        field("fragment", match_.fragment, texts_of(match_.fragment.ranges, fragment_names()));
        field("length", match_.length, texts_of(match_.length.ranges));
        return out_;
    }

private:
    void add(const std::string &words) { out_ += (out_.empty() ? "" : " ") + words; }

    template <class Value>
    void field(const std::string &name, const Field<Value> &field, const Texts &texts)
    {
        if (field.asked())
            add(name + values_text(field.negated, texts));
    }

    void addresses()
    {
        const std::string family = match_.family == 4 ? "ip" : "ip6";
        field(family + " saddr", match_.src, texts_of(match_.src.ranges));
        field(family + " daddr", match_.dst, texts_of(match_.dst.ranges));
        const bool told =
            match_.src.asked() || match_.dst.asked() || icmp_family(sole(match_.protocol));
        if (match_.family && !told)
            add(family);
    }

    void protocol()
    {
        const auto one = sole(match_.protocol);
        if (one && !protocol_name(*one).empty())
            add(protocol_name(*one));
        else
            field("protocol", match_.protocol, texts_of(match_.protocol.ranges, protocol_name));
    }

    void sets(std::initializer_list<SetKey> keys)
    {
        for (const auto &use : match_.sets)
            if (std::find(keys.begin(), keys.end(), use.key) != keys.end())
                add(key_text(use.key) + std::string(use.negated ? " != @" : " @") + use.set);
    }

    const Match &match_;
    std::string out_;
};

} // namespace

std::string text_of(const Match &match)
{
    return Writer(match).text();
}

} // namespace evnf::match
