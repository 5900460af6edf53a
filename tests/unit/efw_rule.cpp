// SPDX-License-Identifier: GPL-2.0-or-later
// The grammar of rules: what is read, how it is written, and which word is blamed.
#include <catch2/catch.hpp>

#include "support/efw_model.hpp"

using namespace evnf;
using namespace evnf::efw;

namespace
{

std::string canonical(const std::string &text)
{
    auto rule = parse_rule(text);
    return rule ? text_of(*rule) : "refused: " + rule.error().what;
}

struct Refused {
    std::string text;
    std::string word;    // the one at fault; empty where one is missing at the end
    std::string because; // part of the message
};

} // namespace

TEST_CASE("a rule has one canonical text")
{
    const std::vector<std::pair<std::string, std::string>> cases{
        {"accept", "accept"},
        {"  tcp \t dport 80  accept ", "tcp dport 80 accept"},
        {"priority 100 drop", "drop"},
        {"priority 0 drop", "priority 0 drop"},
        {"ip drop", "ip drop"},
        {"ip6 slow", "ip6 slow"},
        {"saddr 192.0.2.0/24 drop", "ip saddr 192.0.2.0/24 drop"},
        {"ip saddr 192.0.2.1 daddr 192.0.2.2 drop", "ip saddr 192.0.2.1 ip daddr 192.0.2.2 drop"},
        {"ip saddr 192.0.2.1 ip daddr 192.0.2.2 drop",
         "ip saddr 192.0.2.1 ip daddr 192.0.2.2 drop"},
        {"daddr 2001:DB8::/32 saddr ::/0 accept", "ip6 saddr ::/0 ip6 daddr 2001:db8::/32 accept"},
        {"ip saddr 10.0.0.0/8 tcp dport 80-90 accept",
         "ip saddr 10.0.0.0/8 tcp dport 80-90 accept"},
        {"protocol 6 sport 1-1 slow", "tcp sport 1 slow"},
        {"priority 5 ip protocol 47 drop", "priority 5 ip protocol 47 drop"},
        {"ip protocol tcp accept", "ip tcp accept"},
        {"ip icmp accept", "icmp accept"},
        {"icmpv6 accept", "icmpv6 accept"},
        {"protocol 1 drop", "icmp drop"},
        {"sctp dport 0-65535 sport 7 drop", "sctp sport 7 dport 0-65535 drop"},
        {"drop comment \"two words\"", "drop comment \"two words\""},
        {"drop comment one", "drop comment \"one\""},
        {"drop comment \"\"", "drop"},
    };
    for (const auto &[given, expected] : cases) {
        INFO(given);
        CHECK(canonical(given) == expected);
        CHECK(canonical(expected) == expected);
    }
}

TEST_CASE("icmp and addresses settle the family")
{
    CHECK(parse_rule("icmp drop")->match.family == 4);
    CHECK(parse_rule("icmpv6 drop")->match.family == 6);
    CHECK(parse_rule("saddr 192.0.2.1 drop")->match.family == 4);
    CHECK(parse_rule("daddr 2001:db8::1 drop")->match.family == 6);
    CHECK(parse_rule("tcp drop")->match.family == 0);
}

TEST_CASE("a wrong rule is refused at the word")
{
    const std::vector<Refused> cases{
        {"", "", "no action"},
        {"tcp dport 80", "", "end it with accept, drop or slow"},
        {"tcp dports 80 accept", "dports", "did you mean dport?"},
        {"tcp dport 80 allow", "allow", "did you mean accept?"},
        {"deny", "deny", "did you mean drop?"},
        {"xyzzy accept", "xyzzy", "expected ip, ip6"},
        {"tcp dport 80 accept now", "now", "comes after accept"},
        {"tcp accept drop", "drop", "comes after accept"},
        {"ip saddr 2001:db8::1 drop", "2001:db8::1", "about IPv6"},
        {"ip6 saddr 192.0.2.1 drop", "192.0.2.1", "about IPv4"},
        {"ip saddr 192.0.2.1 ip6 daddr 2001:db8::1 drop", "ip6", "one family"},
        {"saddr 192.0.2.1 daddr 2001:db8::1 drop", "2001:db8::1", "one family"},
        {"ip6 icmp drop", "icmp", "about IPv4"},
        {"icmp ip6 drop", "ip6", "about IPv6"},
        {"ip icmpv6 drop", "icmpv6", "about IPv6"},
        {"icmpv6 saddr 192.0.2.1 drop", "192.0.2.1", "about IPv4"},
        {"ip6 protocol 1 drop", "1", "about IPv4"},
        {"tcp dport 90-80 drop", "90-80", "did you mean 80-90?"},
        {"tcp dport 65536 drop", "65536", "is not a port"},
        {"tcp dport 80- drop", "80-", "is not a port"},
        {"tcp dport -80 drop", "-80", "is not a port"},
        {"tcp dport http drop", "http", "is not a port"},
        {"tcp dport accept", "accept", "is not a port"},
        {"tcp dport", "dport", "needs a value"},
        {"dport 80 drop", "dport", "tcp dport"},
        {"icmp dport 80 drop", "dport", "has no ports"},
        {"protocol 47 sport 80 drop", "sport", "has no ports"},
        {"tcp udp drop", "udp", "tcp already"},
        {"tcp protocol 6 drop", "6", "tcp already"},
        {"protocol 256 drop", "256", "is not a protocol"},
        {"saddr 192.0.2.1 saddr 192.0.2.2 drop", "saddr", "given twice"},
        {"tcp dport 1 dport 2 drop", "dport", "given twice"},
        {"priority 1 priority 2 drop", "priority", "given twice"},
        {"priority 65536 drop", "65536", "0 to 65535"},
        {"priority -1 drop", "-1", "priority"},
        {"priority", "priority", "needs a value"},
        {"saddr 192.0.2.1/24 drop", "192.0.2.1/24", "did you mean 192.0.2.0/24?"},
        {"saddr 192.0.2 drop", "192.0.2", "is not an address"},
        {"saddr ::ffff:192.0.2.1 drop", "::ffff:192.0.2.1", "not an address"},
        {"comment \"x\" drop", "comment", "comes last"},
        {"drop comment", "comment", "needs a value"},
        {"drop comment two words", "words", "double quotes"},
        {"drop comment \"open", "\"open", "does not end"},
        {"drop\ncomment x", "\n", "control character"},
        {"drop comment \"\xff\"", "\xff", "not UTF-8"},
        {"drop comment " + std::string(129, 'x'), std::string(129, 'x'), "longer than 128"},
    };
    for (const auto &c : cases) {
        INFO(c.text);
        auto rule = parse_rule(c.text);
        REQUIRE(!rule);
        const Error &e = rule.error();
        INFO(e.what);
        CHECK(e.code == 0);
        CHECK(e.what.find(c.because) != std::string::npos);
        REQUIRE(e.offset + e.length <= c.text.size());
        CHECK(c.text.substr(e.offset, e.length) == c.word);
        // Of a word that stands there more than once it is the last that is wrong.
        CHECK(e.offset == (c.word.empty() ? c.text.size() : c.text.rfind(c.word)));
    }
}

TEST_CASE("every rule is read as it was written")
{
    model::Random random(1);
    for (int i = 0; i < 20000; ++i) {
        const Rule rule = model::any_rule(random);
        INFO(text_of(rule));
        auto again = parse_rule(text_of(rule));
        REQUIRE(again);
        REQUIRE(*again == rule);
    }
}

TEST_CASE("garbage is refused or read, never a crash, and blamed within its bounds")
{
    static const std::vector<std::string> words{
        "priority", "ip",     "ip6",          "saddr", "daddr",   "protocol",
        "tcp",      "icmp",   "sport",        "dport", "80",      "9-1",
        "1/2",      "accept", "192.0.2.0/24", "::1",   "comment", "\"",
        "\"a b\"",  "",       "\t",           "é",     "-",       "/"};
    model::Random random(2);
    for (int i = 0; i < 50000; ++i) {
        std::string text;
        for (unsigned n = model::below(random, 9); n; --n)
            text += words[random() % words.size()] + (model::below(random, 9) ? " " : "");
        INFO(text);
        if (auto rule = parse_rule(text)) {
            auto again = parse_rule(text_of(*rule));
            REQUIRE(again);
            REQUIRE(*again == *rule);
        } else {
            REQUIRE(rule.error().offset + rule.error().length <= text.size());
        }
    }
}
