// SPDX-License-Identifier: GPL-2.0-or-later
#include "filter/filter.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/net.hpp"
#include "base/text.hpp"

namespace evnf::filter
{

namespace
{

struct Word {
    std::string_view text;
    std::size_t offset;
};

Error at(const Word &word, std::string what)
{
    return bad_input(std::move(what), "", word.offset, word.text.size());
}

// What other tools call what ours calls otherwise.
struct Foreign {
    std::string_view theirs, ours;
};
constexpr std::array foreign{
    Foreign{"ip4", "ip"},         Foreign{"ipv4", "ip"},        Foreign{"inet", "ip"},
    Foreign{"ipv6", "ip6"},       Foreign{"inet6", "ip6"},      Foreign{"ping", "icmp"},
    Foreign{"protocol", "proto"}, Foreign{"addr", "host"},      Foreign{"address", "host"},
    Foreign{"from", "src"},       Foreign{"source", "src"},     Foreign{"saddr", "src"},
    Foreign{"to", "dst"},         Foreign{"dest", "dst"},       Foreign{"destination", "dst"},
    Foreign{"daddr", "dst"},      Foreign{"sport", "src port"}, Foreign{"dport", "dst port"},
    Foreign{"network", "net"},    Foreign{"prefix", "net"},
};

// By blanks; and (, ), !, | and & need none around them. Every word we know is ASCII,
// so other bytes are refused before a message could show them to a terminal.
Result<std::vector<Word>> split_words(std::string_view text)
{
    constexpr std::string_view blanks = " \t", parts = "()!", joints = "|&";
    const auto odd = std::find_if(text.begin(), text.end(),
                                  [](char c) { return c != '\t' && (c < ' ' || c > '~'); });
    if (odd != text.end())
        return bad_input("the filter has a character here that belongs to no word: it is one line "
                         "of letters, digits, '.', ':' and '/'",
                         "", static_cast<std::size_t>(odd - text.begin()), 1);
    std::vector<Word> words;
    for (auto i = text.find_first_not_of(blanks); i != text.npos;
         i = text.find_first_not_of(blanks, i)) {
        const auto end = parts.find(text[i]) != parts.npos     ? i + 1
                         : joints.find(text[i]) != joints.npos ? text.find_first_not_of(joints, i)
                                                               : text.find_first_of(" \t()!|&", i);
        words.push_back({text.substr(i, end - i), i});
        i = end;
    }
    return words;
}

// Why a word of tcpdump's cannot be had, nowhere in a filter; empty for any other.
std::string refusal(std::string_view word)
{
    if (word == "or" || word.front() == '|')
        return "evnf trace takes no 'or': run two traces";
    if (word == "not" || word == "!")
        return "evnf trace takes no 'not': ask for what you want to see, or filter when reading";
    if (word == "(" || word == ")")
        return "evnf trace takes no parentheses: leave them out, for all words must hold together";
    if (word.front() == '&')
        return in_quotes(word) + " is not a word of a filter: write and";
    return "";
}

std::optional<std::uint8_t> protocol_number(std::string_view word)
{
    auto number = parse_protocol(word == "icmp6" ? "icmpv6" : word);
    return number ? std::optional(*number) : std::nullopt;
}

bool has_ports(std::uint8_t protocol)
{
    return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP;
}

// The family that a protocol belongs to, 0 for both.
std::uint8_t family_of(std::uint8_t protocol)
{
    return protocol == IPPROTO_ICMP ? 4 : protocol == IPPROTO_ICMPV6 ? 6 : 0;
}

std::string family_name(int family)
{
    return family == 4 ? "IPv4" : "IPv6";
}

bool is_number(std::string_view word)
{
    return word.find_first_not_of("0123456789") == word.npos;
}

// For a word that asks nothing as it stands.
std::string meant(std::string_view word)
{
    if (Address::parse(word))
        return "write host " + std::string(word);
    if (Prefix::parse(word))
        return "write net " + std::string(word);
    if (is_number(word))
        return "write port " + std::string(word) + " or proto " + std::string(word);
    for (const auto &f : foreign)
        if (f.theirs == word)
            return "did you mean " + std::string(f.ours) + "?";
    return "expected ip, ip6, tcp, udp, sctp, icmp, icmp6, proto, src, dst, host, net or port";
}

ip_addr mask_of(const Prefix &prefix)
{
    const unsigned bits = prefix.length + (prefix.address.is_v4() ? 96 : 0);
    ip_addr mask{};
    for (unsigned i = 0; i < bits; ++i)
        mask.w[i / 32] |= htonl(0x80000000U >> i % 32);
    return mask;
}

// Reads a filter word by word. Each step takes the words it knows from the front.
class Parser
{
public:
    explicit Parser(std::span<const Word> words) : words_(words) {}

    Result<trace_filter> filter()
    {
        while (!done()) {
            if (auto r = ask(); !r)
                return r.error();
            if (!done() && peek().text == "and") {
                const Word &joint = take();
                if (done())
                    return alone(joint);
            }
        }
        return filter_;
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

    static Error alone(const Word &joint)
    {
        return at(joint, "'and' joins what stands before and after it, and one of them is missing");
    }

    Result<> ask()
    {
        const Word &word = take();
        const std::string_view w = word.text;
        if (w == "and")
            return alone(word);
        if (w == "ip" || w == "ip6")
            return named_family(word);
        if (w == "src" || w == "dst")
            return directed(word, w == "src" ? TRACE_SRC : TRACE_DST);
        if (w == "host" || w == "net" || w == "port")
            return asked(word, TRACE_EITHER);
        if (w == "proto")
            return protocol_value(word);
        if (!is_number(w) && protocol_number(w))
            return protocol(word, *protocol_number(w));
        return at(word, in_quotes(w) + " is not a word of a filter: " + meant(w));
    }

    // The value that must follow a word.
    Result<Word> value(const Word &word, const char *example)
    {
        const std::string w(word.text);
        if (done())
            return at(word, in_quotes(w) + " needs a value after it, such as " + w + " " + example);
        return take();
    }

    Result<> named_family(const Word &word)
    {
        if (auto r = family(word, word.text == "ip" ? 4 : 6); !r)
            return r;
        if (std::exchange(family_named_, true))
            return at(word, in_quotes(word.text) + " is asked twice: a filter has one family");
        return Unit{};
    }

    // The filter is about `family` because of `word`.
    Result<> family(const Word &word, std::uint8_t family)
    {
        if (filter_.family && filter_.family != family)
            return at(word, in_quotes(word.text) + " is about " + family_name(family) + ", but " +
                                in_quotes(family_cause_) + " before it about " +
                                family_name(filter_.family) +
                                ": a filter has one family, so run two traces");
        if (!filter_.family)
            family_cause_ = word.text;
        filter_.family = family;
        return Unit{};
    }

    Result<> protocol_value(const Word &word)
    {
        auto given = value(word, "47");
        if (!given)
            return given.error();
        auto number = protocol_number(given->text);
        if (!number)
            return at(*given, parse_protocol(given->text).error().what);
        if (*number == 0)
            return at(*given, "protocol 0 is IPv6's hop-by-hop header, but what a filter asks for "
                              "is the protocol after all such headers");
        return protocol(*given, *number);
    }

    Result<> protocol(const Word &word, std::uint8_t number)
    {
        if (filter_.proto)
            return at(word, "the protocol is " + protocol_text(filter_.proto) +
                                " already: a filter has one, or none for all");
        if (const auto f = family_of(number))
            if (auto r = family(word, f); !r)
                return r;
        filter_.proto = number;
        return check_ports(word);
    }

    // Ports and a protocol without them would match no packet.
    Result<> check_ports(const Word &word)
    {
        const auto &ports = filter_.port;
        const bool asked =
            std::any_of(std::begin(ports), std::end(ports), [](auto p) { return p; });
        if (asked && filter_.proto && !has_ports(filter_.proto))
            return at(word, "protocol " + protocol_text(filter_.proto) +
                                " has no ports: port goes with tcp, udp, sctp or no protocol");
        return Unit{};
    }

    // What follows src or dst.
    Result<> directed(const Word &direction, trace_end end)
    {
        auto given = value(direction, "host 192.0.2.1");
        if (!given)
            return given.error();
        const std::string_view w = given->text;
        if (w == "host" || w == "net" || w == "port")
            return asked(*given, end);
        if (w.find_first_of(".:/") != w.npos)
            return address(direction, *given, Prefix::parse(w), end);
        const std::string d(direction.text);
        return at(*given, in_quotes(w) + " cannot follow " + d + ": write " +
                              (is_number(w) ? d + " port " + std::string(w)
                                            : d + " host ADDRESS, " + d + " net PREFIX or " + d +
                                                  " port NUMBER"));
    }

    // host, net or port, and its value.
    Result<> asked(const Word &word, trace_end end)
    {
        const bool v6 = filter_.family == 6;
        if (word.text == "port") {
            auto given = value(word, "80");
            return given ? port(word, *given, end) : given.error();
        }
        if (word.text == "net") {
            auto given = value(word, v6 ? "2001:db8::/32" : "192.0.2.0/24");
            return given ? address(word, *given, Prefix::parse(given->text), end) : given.error();
        }
        auto given = value(word, v6 ? "2001:db8::1" : "192.0.2.1");
        return given ? address(word, *given, host(given->text), end) : given.error();
    }

    static Result<Prefix> host(std::string_view text)
    {
        auto parsed = Address::parse(text);
        if (!parsed && Prefix::parse(text))
            return bad_input(in_quotes(text) + " is a network: write net " + std::string(text));
        if (!parsed)
            return parsed.error();
        return Prefix{*parsed, parsed->is_v4() ? 32U : 128U};
    }

    Result<> address(const Word &word, const Word &given, const Result<Prefix> &prefix,
                     trace_end end)
    {
        if (address_asked_[end])
            return twice(word, "address", "host", end);
        if (!prefix)
            return at(given, prefix.error().what);
        if (auto r = family(given, static_cast<std::uint8_t>(prefix->address.family())); !r)
            return r;
        address_asked_[end] = true;
        filter_.addr[end] = prefix->address.raw();
        filter_.mask[end] = mask_of(*prefix);
        return Unit{};
    }

    Result<> port(const Word &word, const Word &given, trace_end end)
    {
        if (filter_.port[end])
            return twice(word, "port", "port", end);
        auto number = parse_number(given.text, 1, 65535, "port");
        if (!number)
            return at(given, number.error().what);
        filter_.port[end] = htons(static_cast<std::uint16_t>(*number));
        return check_ports(word);
    }

    static Error twice(const Word &word, const std::string &thing, const std::string &how,
                       trace_end end)
    {
        if (end == TRACE_EITHER)
            return at(word,
                      thing + " is asked twice: for two, write src " + how + " and dst " + how);
        return at(word, (end == TRACE_SRC ? "src " : "dst ") + thing +
                            " is asked twice: a filter has one");
    }

    std::span<const Word> words_;
    trace_filter filter_{};
    // ::/0 is asked with an empty mask, so the filter does not tell.
    std::array<bool, TRACE_ENDS> address_asked_{};
    bool family_named_ = false;     // by ip or ip6, not only by an address or protocol
    std::string_view family_cause_; // the word that gave the filter its family
};

} // namespace

Result<trace_filter> parse_filter(std::string_view text)
{
    auto words = split_words(text);
    if (!words)
        return words.error();
    for (const auto &word : *words)
        if (auto why = refusal(word.text); !why.empty())
            return at(word, std::move(why));
    return Parser(*words).filter();
}

} // namespace evnf::filter
