// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/rule.hpp"

#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <span>

#include "base/text.hpp"
#include "vnfs/efw/words.hpp"

namespace evnf::efw
{

namespace
{

struct ActionName {
    efw_action action;
    std::string_view name;
};
constexpr std::array actions{
    ActionName{EFW_ACCEPT, "accept"},
    ActionName{EFW_DROP, "drop"},
    ActionName{EFW_SLOW, "slow"},
};

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

Error at(const Word &word, std::string what)
{
    return bad_input(std::move(what), "", word.offset, word.length);
}

// Reads a rule word by word. Each step takes the words it knows from the front.
class Parser
{
public:
    explicit Parser(std::span<const Word> words, std::size_t end) : words_(words), end_(end) {}

    Result<Rule> rule()
    {
        while (!done() && !parse_action(peek().text))
            if (auto r = match(); !r)
                return r.error();
        if (done())
            return bad_input("the rule has no action: end it with accept, drop or slow", "", end_,
                             0);
        const Word &action = take();
        rule_.action = *parse_action(action.text);
        if (!done())
            if (auto r = comment(action); !r)
                return r.error();
        return rule_;
    }

private:
    [[nodiscard]] bool done() const { return words_.empty(); }
    [[nodiscard]] const Word &peek() const { return words_.front(); }
    const Word &take()
    {
        const Word &word = words_.front();
        words_ = words_.subspan(1);
        return word;
    }

    Result<> match()
    {
        const Word &word = take();
        const std::string &w = word.text;
        if (w == "priority")
            return priority(word);
        if (w == "ip" || w == "ip6")
            return family(word, w == "ip" ? 4 : 6, in_quotes(w));
        if (w == "saddr")
            return address(word, rule_.src);
        if (w == "daddr")
            return address(word, rule_.dst);
        if (w == "protocol")
            return protocol(word);
        if (w == "sport")
            return ports(word, rule_.sport);
        if (w == "dport")
            return ports(word, rule_.dport);
        if (w == "comment")
            return at(word, "the comment comes last, after accept, drop or slow");
        if (auto number = named_protocol(w))
            return set_protocol(word, *number);
        return at(word, in_quotes(w) + " is not a word of a rule: " + meant(w));
    }

    // The value that must follow a word, if there is one.
    Result<Word> value(const Word &word, const char *example)
    {
        if (done())
            return at(word,
                      word.text + " needs a value after it, such as " + word.text + " " + example);
        return take();
    }

    static Error twice(const Word &word)
    {
        return at(word, word.text + " is given twice: a rule has one");
    }

    Result<> priority(const Word &word)
    {
        auto given = value(word, "10");
        if (!given)
            return given.error();
        if (has_priority_)
            return twice(word);
        auto n = parse_number(given->text, 0, Rule::max_priority, "priority");
        if (!n)
            return at(*given, n.error().what);
        rule_.priority = static_cast<unsigned>(*n);
        has_priority_ = true;
        return Unit{};
    }

    // The rule is about `family` because of `word`.
    Result<> family(const Word &word, int family, const std::string &what)
    {
        if (rule_.family && rule_.family != family)
            return at(word, what + " is about " + family_name(family) + ", but " + family_cause_ +
                                " before it about " + family_name(rule_.family) +
                                ": a rule has one family");
        if (!rule_.family)
            family_cause_ = in_quotes(word.text);
        rule_.family = family;
        return Unit{};
    }

    Result<> address(const Word &word, std::optional<Prefix> &field)
    {
        auto given = value(word, rule_.family == 6 ? "2001:db8::/32" : "192.0.2.0/24");
        if (!given)
            return given.error();
        if (field)
            return twice(word);
        auto prefix = Prefix::parse(given->text);
        if (!prefix)
            return at(*given, prefix.error().what);
        if (auto r = family(*given, prefix->address.family(), in_quotes(given->text)); !r)
            return r;
        field = *prefix;
        return Unit{};
    }

    Result<> protocol(const Word &word)
    {
        auto given = value(word, "47");
        if (!given)
            return given.error();
        auto number = parse_protocol(given->text);
        if (!number)
            return at(*given, number.error().what);
        return set_protocol(*given, *number);
    }

    Result<> set_protocol(const Word &word, std::uint8_t number)
    {
        if (rule_.protocol)
            return at(word, "the protocol is " + protocol_text(*rule_.protocol) +
                                " already: a rule has one, or none for all");
        if (const int f = family_of(number))
            if (auto r = family(word, f, in_quotes(word.text)); !r)
                return r;
        rule_.protocol = number;
        return Unit{};
    }

    Result<> ports(const Word &word, std::optional<PortRange> &field)
    {
        if (!rule_.protocol)
            return at(word, word.text + " needs its protocol before it: write tcp " + word.text +
                                ", udp " + word.text + " or sctp " + word.text);
        if (!has_ports(rule_.protocol))
            return at(word, "protocol " + protocol_text(*rule_.protocol) +
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

    static Result<PortRange> port_range(const Word &word)
    {
        const std::string_view w = word.text;
        const auto dash = w.find('-');
        const std::string_view low = w.substr(0, dash);
        const std::string_view high = dash == w.npos ? low : w.substr(dash + 1);
        auto first = parse_number(low, 0, EFW_PORTS - 1, "port");
        auto last = parse_number(high, 0, EFW_PORTS - 1, "port");
        if (!first || !last)
            return at(word, in_quotes(w) + " is not a port or range such as 80 or 8000-8080");
        if (*first > *last)
            return at(word, in_quotes(w) + " is reversed: did you mean " + std::string(high) + "-" +
                                std::string(low) + "?");
        return PortRange{static_cast<std::uint16_t>(*first), static_cast<std::uint16_t>(*last)};
    }

    Result<> comment(const Word &action)
    {
        const Word &word = take();
        if (word.text != "comment")
            return at(word, in_quotes(word.text) + " comes after " + action.text +
                                ", which ends the rule: only a comment may follow");
        auto given = value(word, "\"why this rule is here\"");
        if (!given)
            return given.error();
        if (given->text.size() > Rule::max_comment)
            return at(*given,
                      "the comment is longer than " + std::to_string(Rule::max_comment) + " bytes");
        rule_.comment = given->text;
        if (!done())
            return at(peek(), in_quotes(peek().text) +
                                  " comes after the comment: put a comment of several words in "
                                  "double quotes");
        return Unit{};
    }

    std::span<const Word> words_;
    std::size_t end_; // of the text
    Rule rule_;
    bool has_priority_ = false;
    std::string family_cause_; // the word that gave the rule its family
};

std::string range_text(const PortRange &range)
{
    const std::string low = std::to_string(range.low);
    return range.low == range.high ? low : low + "-" + std::to_string(range.high);
}

} // namespace

std::string_view action_text(efw_action action)
{
    return std::find_if(actions.begin(), actions.end(),
                        [&](const ActionName &a) { return a.action == action; })
        ->name;
}

std::optional<efw_action> parse_action(std::string_view word)
{
    for (const auto &a : actions)
        if (a.name == word)
            return a.action;
    return std::nullopt;
}

Result<Rule> parse_rule(std::string_view text)
{
    auto words = split_words(text);
    if (!words)
        return words.error();
    return Parser(*words, text.size()).rule();
}

std::string text_of(const Rule &rule)
{
    std::string out;
    if (rule.priority != Rule::default_priority)
        out += "priority " + std::to_string(rule.priority) + " ";
    const std::string family = rule.family ? std::string(family_word(rule.family)) + " " : "";
    if (rule.src)
        out += family + "saddr " + rule.src->text() + " ";
    if (rule.dst)
        out += family + "daddr " + rule.dst->text() + " ";
    const bool says_family = rule.src || rule.dst || family_of(rule.protocol);
    if (!says_family)
        out += family;
    if (rule.protocol) {
        const std::string name = protocol_text(*rule.protocol);
        out += (named_protocol(name) ? name : "protocol " + name) + " ";
    }
    if (rule.sport)
        out += "sport " + range_text(*rule.sport) + " ";
    if (rule.dport)
        out += "dport " + range_text(*rule.dport) + " ";
    out += action_text(rule.action);
    if (!rule.comment.empty())
        out += " comment \"" + rule.comment + "\"";
    return out;
}

} // namespace evnf::efw
