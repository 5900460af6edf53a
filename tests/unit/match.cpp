// SPDX-License-Identifier: GPL-2.0-or-later
// Conditions: what is read, how it is written, which word is blamed.
#include <catch2/catch.hpp>

#include "unit/any_match.hpp"

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
        {"ip6 daddr 2001:DB8::/32 protocol 46", "ip6 daddr 2001:db8::/32 protocol 46"},
        {"protocol 47", "gre"},
        {"protocol { udp,tcp }", "protocol { tcp, udp }"},
        {"protocol != tcp", "protocol != tcp"},
        {"protocol {esp, 51,100-102}", "protocol { esp, ah, 100-102 }"},
        {"protocol { icmp, icmpv6 }", "protocol { icmp, icmpv6 }"},
        {"protocol { icmp }", "icmp"},
        {"protocol { tcp, udp } dport 53", "protocol { tcp, udp } dport 53"},
        {"tcp dport {80,443}", "tcp dport { 80, 443 }"},
        {"tcp dport { 443 , 80,8000-8080, 81 }", "tcp dport { 80-81, 443, 8000-8080 }"},
        {"tcp dport != { 80 }", "tcp dport != 80"},
        {"tcp dport !=80 sport !={1,3}", "tcp sport != { 1, 3 } dport != 80"},
        {"tcp dport \"80\"", "tcp dport 80"},
        {"saddr 10.0.0.0-10.255.255.255", "ip saddr 10.0.0.0/8"},
        {"saddr 10.0.0.1-10.0.0.9", "ip saddr 10.0.0.1-10.0.0.9"},
        {"saddr { 10.0.0.9, 10.0.0.0/31, 10.0.0.2-10.0.0.3 }",
         "ip saddr { 10.0.0.0/30, 10.0.0.9 }"},
        {"ip daddr != 10.0.0.0/8", "ip daddr != 10.0.0.0/8"},
        {"saddr { ::fff1:0:0-::fffe:ffff:ffff, ::fffe:0:0/95 }",
         "ip6 saddr { ::fff1:0:0-::fffd:ffff:ffff, ::fffe:0:0/95 }"},
        {"saddr ::/0", "ip6 saddr ::/0"},
        {"saddr @bad saddr != @good saddr 10.0.0.0/8",
         "ip saddr 10.0.0.0/8 saddr @bad saddr != @good"},
        {"ip saddr @bad", "ip saddr @bad"},
        {"daddr @a.b_c-D", "daddr @a.b_c-D"},
        {"tcp daddr.dport @servers", "tcp daddr.dport @servers"},
        {"udp saddr.sport != @x dport @y sport @y dport 7",
         "udp dport 7 sport @y dport @y saddr.sport != @x"},
        {"icmp type echo-request", "icmp type echo-request"},
        {"icmp type 8", "icmp type echo-request"},
        {"icmp type { 3/4, redirect, 200 }", "icmp type { 3/4, redirect, 200 }"},
        {"icmp type destination-unreachable/4", "icmp type 3/4"},
        {"icmp type { 3, 4/0-9 }", "icmp type { destination-unreachable, 4/0-9 }"},
        {"icmp type { 3/9, 4, 5/0 }", "icmp type { 3/9, source-quench, 5/0 }"},
        {"icmp type { 3/9-255, 4-6, 7/0-3 }", "icmp type { 3/9-255, 4-6, 7/0-3 }"},
        {"icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert }",
         "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert }"},
        {"icmpv6 type != mld-listener-reduction", "icmpv6 type != mld-listener-done"},
        {"tcp flags syn", "tcp flags syn"},
        {"tcp flags != syn", "tcp flags != syn"},
        {"tcp flags ack , syn", "tcp flags syn,ack"},
        {"tcp flags syn / ack,syn , rst,fin", "tcp flags syn / fin,syn,rst,ack"},
        {"tcp flags syn/syn,ack", "tcp flags syn / syn,ack"},
        {"tcp flags != syn / syn,ack", "tcp flags != syn / syn,ack"},
        {"tcp flags syn / syn", "tcp flags syn"},
        {"tcp flags != syn / syn", "tcp flags != syn"},
        {"in eth0", "in eth0"},
        {"in { veth*, eth0, veth1, eth0 }", "in { eth0, veth* }"},
        {"in != \"eth0\"", "in != eth0"},
        {"vlan 5", "vlan 5"},
        {"vlan != { 5, 100-199 }", "vlan != { 5, 100-199 }"},
        {"vlan 0-4095", "vlan 0-4095"},
        {"dscp ef", "dscp ef"},
        {"dscp 46", "dscp ef"},
        {"dscp { af11, 11, be }", "dscp { cs0, 10-11 }"},
        {"fragment later", "fragment later"},
        {"fragment { first, none }", "fragment { none, first }"},
        {"fragment != none", "fragment != none"},
        {"length 0-127", "length 0-127"},
        {"length != { 40, 1500 }", "length != { 40, 1500 }"},
        {"length 1 fragment none dscp 1 tcp flags syn dport 1 ip vlan 1 in a",
         "in a vlan 1 ip tcp dport 1 flags syn dscp lephb fragment none length 1"},
    };
    for (const auto &[given, expected] : cases) {
        INFO(given);
        CHECK(canonical(given) == expected);
        CHECK(canonical(expected) == expected);
    }
}

TEST_CASE("flags mean what they mean to nft")
{
    const auto allows = [](const std::string &text, std::uint8_t flags) {
        return parse_match("tcp flags " + text)->tcp_flags.allows(flags);
    };
    constexpr std::uint8_t fin = 1, syn = 2, rst = 4, ack = 16;
    CHECK(allows("syn", syn | ack));
    CHECK_FALSE(allows("syn", ack));
    CHECK(allows("syn,fin", fin));
    CHECK_FALSE(allows("syn,fin", rst));
    CHECK(allows("!= syn", ack));
    CHECK_FALSE(allows("!= syn", syn | ack));
    CHECK(allows("syn / syn,ack", syn | rst));
    CHECK_FALSE(allows("syn / syn,ack", syn | ack));
    CHECK(allows("!= syn / syn,ack", 0));
    CHECK_FALSE(allows("!= syn / syn,ack", syn));
}

TEST_CASE("an interface is meant by its name or the start of it")
{
    const auto allows = [](const std::string &text, const std::string &name) {
        return parse_match(text)->in.allows(name);
    };
    CHECK(allows("in eth0", "eth0"));
    CHECK_FALSE(allows("in eth0", "eth01"));
    CHECK(allows("in { eth0, veth* }", "veth17"));
    CHECK(allows("in { eth0, veth* }", "veth"));
    CHECK_FALSE(allows("in { eth0, veth* }", "eth1"));
    CHECK(allows("in != veth*", "eth0"));
    CHECK_FALSE(allows("in != veth*", "veth0"));
    CHECK(allows("tcp", "eth0"));
}

TEST_CASE("icmp and addresses settle the family")
{
    const auto family = [](const std::string &text) { return parse_match(text)->family; };
    CHECK(family("icmp") == 4);
    CHECK(family("icmpv6") == 6);
    CHECK(family("saddr 192.0.2.1") == 4);
    CHECK(family("daddr != { 2001:db8::1 }") == 6);
    CHECK(family("tcp") == 0);
    CHECK(family("saddr @x") == 0);
    CHECK(family("protocol { icmp, icmpv6 }") == 0);
    CHECK(family("protocol != icmp") == 0);
}

TEST_CASE("a wrong condition is refused at the word")
{
    const std::vector<Refused> cases{
        {"", "", "the condition is empty"},
        {" \t", "", "the condition is empty"},
        {"tcp dprt 80", "dprt", "'dprt' is not a word of a condition: did you mean dport?"},
        {"tcp xyzzy", "xyzzy", "icmpv6, sport, dport"},
        {"tcp dport 80 accept", "accept", "'accept' is not a word of a condition: expected in"},
        {"tcp dport 80 allow", "allow", "expected in, vlan, ip"},
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
        {"tcp udp", "udp", "it is tcp already: a condition has one protocol, a list"},
        {"saddr { 10.0.0.1, 2001:db8::1 }", "2001:db8::1", "a condition has one family"},
        {"saddr 10.0.0.1-2001:db8::1", "10.0.0.1-2001:db8::1", "from IPv4 to IPv6"},
        {"saddr 10.0.0.9-10.0.0.1", "10.0.0.9-10.0.0.1", "did you mean 10.0.0.1-10.0.0.9?"},
        {"saddr 10.0.0.1-x", "10.0.0.1-x", "is not a range of addresses"},
        {"saddr 10.0.0.1,10.0.0.2", "10.0.0.1,10.0.0.2", "write several in braces"},
        {"saddr != 0.0.0.0/0", "0.0.0.0/0", "no packet would match"},
        {"saddr != { 0.0.0.0/1, 128.0.0.0/1 }", "{ 0.0.0.0/1, 128.0.0.0/1 }",
         "no packet would match"},
        {"ip6 saddr != ::/0", "::/0", "no packet would match"},
        {"tcp dport != 0-65535", "0-65535", "dport != excludes every value"},
        {"tcp dport {80,x}", "x", "'x' is not a port or range"},
        {"tcp dport { 80, 90-81 }", "90-81", "did you mean 81-90?"},
        {"tcp dport { 80 443 }", "443", "a comma is missing before '443'"},
        {"tcp dport { 80", "{", "a } is missing"},
        {"tcp dport {80, 443 sport 7", "{", "a } is missing"},
        {"tcp dport { }", "}", "the list is empty"},
        {"tcp dport {,80}", ",", "a value is missing before this ','"},
        {"tcp dport { 80, }", "}", "a value is missing before this '}'"},
        {"tcp dport { 80, { 90 }", "{", "a list does not stand in a list"},
        {"tcp dport {80}x", "x", "a blank is missing after the list"},
        {"tcp dport { 80, @x }", "@x", "which stands alone, not in a list"},
        {"tcp dport 80,443", "80,443", "write several in braces"},
        {"tcp dport 80 443", "443", "in a shell within quotes"},
        {"tcp dport !=", "!=", "dport != needs a value after it, such as dport != 80"},
        {"tcp dport != != 80", "!=", "is not a port"},
        {"tcp dport 80 dport { 90 }", "dport", "dport is given twice"},
        {"icmp dport 80", "dport", "icmp has no ports"},
        {"protocol != tcp dport 80", "dport", "protocol != tcp has no ports"},
        {"protocol { tcp, icmp } dport 80", "dport", "has no ports"},
        {"protocol tpc", "tpc", "is not a protocol"},
        {"protocol { tcp, 256 }", "256", "is not a protocol"},
        {"tcp protocol { udp }", "{ udp }", "it is tcp already"},
        {"ip6 icmp", "icmp", "one family"},
        {"ip6 protocol { 1 }", "{ 1 }", "one family"},
        {"type 8", "type", "write icmp type or icmpv6 type"},
        {"tcp type 8", "type", "type is of ICMP messages"},
        {"protocol { icmp, icmpv6 } type 8", "type", "type is of ICMP messages"},
        {"icmp type packet-too-big", "packet-too-big", "is not a type of icmp"},
        {"icmpv6 type redirect", "redirect", "is not a type of icmpv6"},
        {"icmp type 3-4/1", "3-4/1", "is not a type"},
        {"icmp type 3/256", "3/256", "is not a type"},
        {"icmp type != 0-255", "0-255", "no packet would match"},
        {"icmp code 4", "code", "after its type, as in icmp type 3/4"},
        {"flags syn", "flags", "write tcp flags"},
        {"udp flags syn", "flags", "write tcp flags"},
        {"protocol { tcp, udp } flags syn", "flags", "write tcp flags"},
        {"tcp flags sync", "sync", "'sync' is wrong in a list of flags"},
        {"tcp flags syn,", ",", "a flag is missing after this ','"},
        {"tcp flags syn /", "/", "a flag is missing after this '/'"},
        {"tcp flags syn / ack / rst", "/", "'/' is wrong"},
        {"tcp flags syn / ack", "syn", "no packet would match"},
        {"tcp flags != fin / ack", "fin", "every packet would match"},
        {"tcp flags { syn }", "{", "'{' is wrong"},
        {"tcp flags syn flags ack", "flags", "given twice"},
        {"in *", "*", "every interface"},
        {"in { eth0, * }", "*", "every interface"},
        {"in et*h", "et*h", "is not the name of an interface"},
        {"in abcdefghijklmnop", "abcdefghijklmnop", "is not the name of an interface"},
        {"in a/b", "a/b", "is not the name of an interface"},
        {"in eth0 in eth1", "in", "given twice"},
        {"iifname eth0", "iifname", "did you mean in?"},
        {"oifname eth0", "oifname", "where a packet leaves is not known"},
        {"vlan 4096", "4096", "is not a VLAN id"},
        {"vlan != 0-4095", "0-4095", "no packet would match"},
        {"dscp 64", "64", "is not a DSCP"},
        {"dscp af14", "af14", "is not a DSCP"},
        {"dscp 0-63", "0-63", "leave dscp out"},
        {"dscp != 0-63", "0-63", "no packet would match"},
        {"fragment all", "all", "is not none, first or later"},
        {"fragment { none, first, later }", "{ none, first, later }", "leave fragment out"},
        {"fragment later tcp dport 80", "dport", "later fragments have no ports"},
        {"tcp flags syn fragment later", "fragment", "later fragments have no ports"},
        {"udp saddr.sport @x fragment != { none, first }", "fragment", "later fragments"},
        {"length 0-65535", "0-65535", "leave length out"},
        {"length 65536", "65536", "is not a length"},
        {"saddr @", "@", "is not the name of a set"},
        {"saddr @1", "@1", "is not the name of a set"},
        {"saddr @a@b", "@a@b", "is not the name of a set"},
        {"saddr @" + std::string(64, 'a'), "@" + std::string(64, 'a'), "up to 62"},
        {"saddr @x saddr @x", "@x", "twice: once is enough"},
        {"saddr @x saddr != @x", "@x", "no packet would match"},
        {"saddr.sport @x", "saddr.sport", "needs its protocol before it"},
        {"tcp saddr.sport 80", "80", "write saddr.sport @NAME"},
        {"vlan @x", "@x", "is not a VLAN id"},
        {"-s 10.0.0.1", "-s", "did you mean saddr?"},
        {"--dport 80", "--dport", "did you mean dport?"},
        {"meta l4proto tcp", "meta", "leave it out"},
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
    Random random(22);
    for (int i = 0; i < 100000; ++i) {
        const Match match = any_match(random);
        INFO(text_of(match));
        auto again = parse_match(text_of(match));
        REQUIRE(again.has_value() == (match != Match{}));
        if (again)
            REQUIRE(*again == match);
    }
}

namespace
{

// What is read can be written and read again; what is refused is blamed within bounds.
void check_reading(const std::string &text)
{
    INFO(text);
    const auto match = parse_match(text);
    if (!match) {
        REQUIRE(match.error().offset + match.error().length <= text.size());
        return;
    }
    const auto again = parse_match(text_of(*match));
    REQUIRE(again);
    REQUIRE(*again == *match);
}

} // namespace

TEST_CASE("garbage is refused or read, never a crash, and blamed within its bounds")
{
    static const std::vector<std::string> words{"ip",       "ip6",
                                                "saddr",    "daddr",
                                                "protocol", "tcp",
                                                "icmp",     "icmpv6",
                                                "sport",    "dport",
                                                "type",     "flags",
                                                "in",       "vlan",
                                                "dscp",     "fragment",
                                                "length",   "saddr.sport",
                                                "!=",       "{",
                                                "}",        ",",
                                                "/",        "80",
                                                "9-1",      "0-65535",
                                                "3/4",      "syn",
                                                "eth*",     "ef",
                                                "later",    "192.0.2.0/24",
                                                "::1",      "::-::fffe:ffff:ffff",
                                                "@x",       "@",
                                                "\"",       "\"a b\"",
                                                "",         "\t",
                                                "é",        "-",
                                                "*"};
    Random random(2);
    for (int i = 0; i < 100000; ++i) {
        std::string text;
        for (unsigned n = below(random, 12); n; --n)
            text += words[random() % words.size()] + (chance(random, 5) ? "" : " ");
        check_reading(text);
    }
}

TEST_CASE("a condition with a fault in it is refused or read, and blamed within its bounds")
{
    static const std::string characters = "{}!=,/@-*.: \"019afzt\t\xc3";
    Random random(3);
    for (int i = 0; i < 100000; ++i) {
        std::string text = text_of(any_match(random));
        for (unsigned n = 1 + below(random, 3); n && !text.empty(); --n) {
            const std::size_t place = random() % text.size();
            const std::size_t end = std::min<std::size_t>(text.size() - place, below(random, 4));
            text.replace(place, end, below(random, 2), characters[random() % characters.size()]);
        }
        check_reading(text);
    }
}
