// SPDX-License-Identifier: GPL-2.0-or-later
// The grammar of rules: what is read, how it is written, and which word is blamed.
#include <catch2/catch.hpp>

#include "unit/any_match.hpp"
#include "vnfs/efw/rule.hpp"

using namespace evnf;
using namespace evnf::efw;

namespace
{

std::string canonical(const std::string &text)
{
    auto rule = parse_rule(text);
    return rule ? text_of(*rule) : "refused: " + rule.error().what;
}

Rule any_rule(match::Random &random)
{
    static const std::vector<std::string> texts{"", "x", "two words", "tcp dport 80 drop", "é"};
    Rule r;
    r.match = match::any_match(random);
    if (match::chance(random, 2))
        r.priority = match::below(random, Rule::max_priority + 1);
    if (match::chance(random, 3)) {
        static constexpr std::uint32_t seconds[]{1, 60, 3600, 86400};
        r.limit = Limit{.packets = 1 + match::below(random, 100000),
                        .seconds = seconds[match::below(random, 4)],
                        .burst = match::chance(random, 2) ? 5 : 1 + match::below(random, 1000),
                        .over = match::chance(random, 2),
                        .per_source = match::chance(random, 2)};
    }
    if (match::chance(random, 3))
        r.log_sample = 1 + match::below(random, 3);
    r.action = static_cast<efw_action>(match::below(random, EFW_COUNT + 1));
    r.name = texts[random() % texts.size()];
    r.comment = texts[random() % texts.size()];
    return r;
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
        {"priority 5 ip protocol 46 drop", "priority 5 ip protocol 46 drop"},
        {"ip protocol tcp accept", "ip tcp accept"},
        {"ip icmp accept", "icmp accept"},
        {"icmpv6 accept", "icmpv6 accept"},
        {"protocol 1 drop", "icmp drop"},
        {"sctp dport 0-65535 sport 7 drop", "sctp sport 7 dport 0-65535 drop"},
        {"drop comment \"two words\"", "drop comment \"two words\""},
        {"drop comment one", "drop comment \"one\""},
        {"drop comment \"\"", "drop"},
        {"tcp src port 7 dst port 80-90 reject", "tcp sport 7 dport 80-90 reject"},
        {"count", "count"},
        {"drop comment b name a", "drop name \"a\" comment \"b\""},
        {"limit rate 10/second accept", "limit rate 10/second accept"},
        {"limit rate 10/minute burst 5 tcp drop", "tcp limit rate 10/minute drop"},
        {"limit rate over 1/day burst 7 per saddr drop",
         "limit rate over 1/day burst 7 per saddr drop"},
        {"limit rate 9/hour per saddr saddr 10.0.0.1 log count",
         "ip saddr 10.0.0.1 limit rate 9/hour per saddr log count"},
        {"log udp drop", "udp log drop"},
        {"log sample 1 drop", "log drop"},
        {"log sample 100 priority 7 drop", "priority 7 log sample 100 drop"},
    };
    for (const auto &[given, expected] : cases) {
        INFO(given);
        CHECK(canonical(given) == expected);
        CHECK(canonical(expected) == expected);
    }
}

TEST_CASE("a wrong rule is refused at the word")
{
    const std::vector<Refused> cases{
        {"", "", "no action"},
        {"tcp dport 80", "", "end it with accept, drop, slow, reject or count"},
        {"tcp dports 80 accept", "dports", "did you mean dport?"},
        {"tcp dport 80 allow", "allow", "did you mean accept?"},
        {"deny", "deny", "did you mean drop?"},
        {"xyzzy accept", "xyzzy", "expected in, vlan"},
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
        {"tcp udp drop", "udp", "it is tcp already"},
        {"tcp protocol 6 drop", "6", "it is tcp already"},
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
        {"name x drop", "name", "comes last, after accept, drop"},
        {"drop name a name b", "name", "name is given twice"},
        {"drop name two words", "words", "put a name of several words in double quotes"},
        {"drop name " + std::string(129, 'x'), std::string(129, 'x'), "longer than 128"},
        {"limit", "limit", "limit rate 10/second"},
        {"limit 10/second drop", "limit", "limit rate 10/second"},
        {"limit rate", "rate", "rate needs a value"},
        {"limit rate over", "rate", "rate needs a value"},
        {"limit rate 10 drop", "10", "is not a rate"},
        {"limit rate 0/second drop", "0/second", "is not a rate"},
        {"limit rate 10/s drop", "10/s", "is not a rate"},
        {"limit rate 4294967296/day drop", "4294967296/day", "is not a rate"},
        {"limit rate 1/day burst 0 drop", "0", "is not a burst from 1"},
        {"limit rate 1/day burst 7 packets drop", "packets", "burst and the number alone"},
        {"limit rate 1/day per daddr drop", "per", "per saddr"},
        {"limit rate 1/day limit rate 2/day drop", "limit", "given twice"},
        {"log log drop", "log", "given twice"},
        {"log sample drop", "drop", "is not a sample from 1"},
        {"log sample 0 drop", "0", "is not a sample from 1"},
        {"log prefix \"x\" drop", "prefix", "is its name"},
        {"tcp dport 22 ct state new accept", "ct", "end the rule with slow"},
        {"-j DROP", "-j", "end the rule with accept, drop"},
        {"tcp DROP", "DROP", "did you mean drop?"},
        {"counter drop", "counter", "did you mean count?"},
        {"reject with tcp", "with", "comes after reject"},
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
    match::Random random(1);
    for (int i = 0; i < 100000; ++i) {
        const Rule rule = any_rule(random);
        INFO(text_of(rule));
        auto again = parse_rule(text_of(rule));
        REQUIRE(again);
        REQUIRE(*again == rule);
    }
}

TEST_CASE("garbage is refused or read, never a crash, and blamed within its bounds")
{
    static const std::vector<std::string> words{
        "priority", "ip",    "saddr", "tcp",     "icmp",  "dport",   "80",  "{",      "}",
        "1/day",    "limit", "rate",  "over",    "burst", "per",     "log", "sample", "accept",
        "reject",   "count", "name",  "comment", "\"",    "\"a b\"", "",    "\t",     "é"};
    match::Random random(2);
    for (int i = 0; i < 100000; ++i) {
        std::string text = match::chance(random, 2) ? text_of(any_rule(random)) : "";
        text = text.substr(0, text.empty() ? 0 : random() % text.size());
        for (unsigned n = match::below(random, 9); n; --n)
            text += words[random() % words.size()] + (match::chance(random, 9) ? "" : " ");
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
