// SPDX-License-Identifier: GPL-2.0-or-later
// Conditions: texts that only match. Their words are tested with those of efw's rules.
#include <catch2/catch.hpp>

#include "match/match.hpp"
#include "support/efw_model.hpp"

using namespace evnf;
using namespace evnf::match;

namespace
{

std::string canonical(const std::string &text)
{
    auto match = parse_match(text);
    return match ? text_of(*match) : "refused: " + match.error().what;
}

struct Refused {
    std::string text;
    std::string word;    // the one at fault; empty where there is none
    std::string because; // part of the message
};

} // namespace

TEST_CASE("a condition has one canonical text")
{
    const std::vector<std::pair<std::string, std::string>> cases{
        {"tcp dport 80", "tcp dport 80"},
        {" tcp \t dport  80-80 ", "tcp dport 80"},
        {"tcp dst port 80", "tcp dport 80"},
        {"tcp src port 80", "tcp sport 80"},
        {"udp dst \t port 53 src port 1024-65535", "udp sport 1024-65535 dport 53"},
        {"tcp dst port 80 sport 1", "tcp sport 1 dport 80"},
        {"ip", "ip"},
        {"ip6 icmpv6", "icmpv6"},
        {"saddr 10.0.0.0/8", "ip saddr 10.0.0.0/8"},
        {"ip6 daddr 2001:DB8::/32 protocol 47", "ip6 daddr 2001:db8::/32 protocol 47"},
    };
    for (const auto &[given, expected] : cases) {
        INFO(given);
        CHECK(canonical(given) == expected);
        CHECK(canonical(expected) == expected);
    }
}

TEST_CASE("a rule may say dst port and src port too")
{
    auto rule = efw::parse_rule("tcp src port 7 dst port 80-90 accept");
    REQUIRE(rule);
    CHECK(text_of(*rule) == "tcp sport 7 dport 80-90 accept");
}

TEST_CASE("a wrong condition is refused at the word")
{
    const std::vector<Refused> cases{
        {"", "", "the condition is empty"},
        {" \t", "", "the condition is empty"},
        {"tcp dprt 80", "dprt", "'dprt' is not a word of a condition: did you mean dport?"},
        {"tcp xyzzy", "xyzzy", "icmpv6, sport, dport"},
        {"tcp dport 80 accept", "accept", "'accept' is not a word of a condition: expected ip"},
        {"tcp dport 80 allow", "allow", "expected ip"},
        {"priority 1 tcp", "priority", "is not a word of a condition"},
        {"tcp dst port", "dst port", "dst port needs a value after it, such as dst port 80"},
        {"tcp dst  port http", "http", "is not a port"},
        {"dst \t port 80", "dst \t port", "write tcp dst port"},
        {"icmp src port 80", "src port", "src port goes with tcp"},
        {"tcp dport 1 dst port 2", "dst port", "dst port is given twice: a condition has one"},
        {"tcp dst 80", "dst", "did you mean daddr?"},
        {"tcp src", "src", "did you mean saddr?"},
        {"tcp port 80", "port", "did you mean dport?"},
        {"src 10.0.0.0/8", "src", "did you mean saddr?"},
        {"ip saddr 2001:db8::1", "2001:db8::1", "a condition has one family"},
        {"tcp udp", "udp", "a condition has one, or none"},
        {"tcp \"open", "\"open", "does not end"},
        {"tcp\ndport 80", "\n", "the condition has a control character"},
        {"tcp \xff", "\xff", "the condition is not UTF-8"},
    };
    for (const auto &c : cases) {
        INFO(c.text);
        auto match = parse_match(c.text);
        REQUIRE(!match);
        const Error &e = match.error();
        INFO(e.what);
        CHECK(e.code == 0);
        CHECK(e.what.find(c.because) != std::string::npos);
        REQUIRE(e.offset + e.length <= c.text.size());
        CHECK(c.text.substr(e.offset, e.length) == c.word);
        // Of a word that stands there more than once it is the last that is wrong.
        CHECK(e.offset == (c.word.empty() ? 0 : c.text.rfind(c.word)));
    }
}

TEST_CASE("every condition is read as it was written")
{
    efw::model::Random random(22);
    for (int i = 0; i < 20000; ++i) {
        const Match match = efw::model::any_match(random);
        INFO(text_of(match));
        auto again = parse_match(text_of(match));
        REQUIRE(again.has_value() == (match != Match{}));
        if (again)
            REQUIRE(*again == match);
    }
}
