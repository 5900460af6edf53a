// SPDX-License-Identifier: GPL-2.0-or-later
// The words of `evnf trace`: what they ask for, which word is blamed, and which packets match.
#include "filter/filter.hpp"

#include <arpa/inet.h>
#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "support/filter_model.hpp"

using namespace evnf;
using namespace evnf::filter::model;
using filter::parse_filter;

namespace
{

std::string hex(const trace_filter &f)
{
    std::string out;
    const auto *bytes = reinterpret_cast<const unsigned char *>(&f);
    for (std::size_t i = 0; i < sizeof f; ++i)
        out += (i % 4 ? "" : " ") +
               std::string{"0123456789abcdef"[bytes[i] >> 4], "0123456789abcdef"[bytes[i] & 15]};
    return out;
}

constexpr auto whole = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";

struct Wanted {
    std::string text;
    std::uint8_t family = 0, proto = 0;
    struct Address {
        trace_end end;
        std::string addr, mask;
    };
    std::vector<Address> addresses{};
    std::array<std::uint16_t, TRACE_ENDS> ports{}; // by trace_end
};

trace_filter built(const Wanted &w)
{
    trace_filter f{};
    f.family = w.family;
    f.proto = w.proto;
    for (const auto &a : w.addresses) {
        f.addr[a.end] = in6(a.addr);
        f.mask[a.end] = in6(a.mask);
    }
    for (std::size_t end = 0; end < TRACE_ENDS; ++end)
        f.port[end] = htons(w.ports[end]);
    return f;
}

struct Refused {
    std::string text;
    std::string word;                       // the one at fault
    std::string because;                    // part of the message
    std::size_t offset = std::string::npos; // where the last such word is not meant
};

// What holds of every answer: it is a sound filter, or blames a part of the text in
// characters that any terminal and JSON take.
void check_answer(const std::string &text)
{
    const auto f = parse_filter(text);
    if (f) {
        REQUIRE((f->family == 0 || f->family == 4 || f->family == 6));
        for (int end = 0; end < TRACE_ENDS; ++end)
            for (int i = 0; i < 4; ++i)
                REQUIRE((f->addr[end].w[i] & ~f->mask[end].w[i]) == 0);
        return;
    }
    const Error &e = f.error();
    REQUIRE(e.code == 0);
    REQUIRE(!e.what.empty());
    REQUIRE(e.length > 0);
    REQUIRE(e.offset < text.size());
    REQUIRE(e.length <= text.size() - e.offset);
    REQUIRE(std::all_of(e.what.begin(), e.what.end(), [](char c) { return c >= ' ' && c <= '~'; }));
}

} // namespace

TEST_CASE("words become a filter")
{
    const auto cases = std::vector<Wanted>{
        {.text = ""},
        {.text = " \t "},
        {.text = "ip", .family = 4},
        {.text = "ip6", .family = 6},
        {.text = "tcp", .proto = 6},
        {.text = "udp", .proto = 17},
        {.text = "sctp", .proto = 132},
        {.text = "icmp", .family = 4, .proto = 1},
        {.text = "icmp6", .family = 6, .proto = 58},
        {.text = "icmpv6", .family = 6, .proto = 58},
        {.text = "ip6 and icmp6", .family = 6, .proto = 58},
        {.text = "proto 47", .proto = 47},
        {.text = "proto 255", .proto = 255},
        {.text = "proto tcp", .proto = 6},
        {.text = "proto icmp6", .family = 6, .proto = 58},
        {.text = "ip proto 1", .family = 4, .proto = 1},
        {.text = "tcp host 10.0.0.9",
         .family = 4,
         .proto = 6,
         .addresses = {{TRACE_EITHER, "::ffff:10.0.0.9", whole}}},
        {.text = "host 2001:DB8::1",
         .family = 6,
         .addresses = {{TRACE_EITHER, "2001:db8::1", whole}}},
        {.text = "host ::", .family = 6, .addresses = {{TRACE_EITHER, "::", whole}}},
        {.text = "src 10.0.0.1", .family = 4, .addresses = {{TRACE_SRC, "::ffff:10.0.0.1", whole}}},
        {.text = "dst 2001:db8::1", .family = 6, .addresses = {{TRACE_DST, "2001:db8::1", whole}}},
        {.text = "src host 10.0.0.1 dst host 10.0.0.2",
         .family = 4,
         .addresses = {{TRACE_SRC, "::ffff:10.0.0.1", whole},
                       {TRACE_DST, "::ffff:10.0.0.2", whole}}},
        {.text = "host 10.0.0.1 and src 10.0.0.2 and dst 10.0.0.3",
         .family = 4,
         .addresses = {{TRACE_EITHER, "::ffff:10.0.0.1", whole},
                       {TRACE_SRC, "::ffff:10.0.0.2", whole},
                       {TRACE_DST, "::ffff:10.0.0.3", whole}}},
        {.text = "net 10.0.0.0/8",
         .family = 4,
         .addresses = {{TRACE_EITHER, "::ffff:10.0.0.0", "ffff:ffff:ffff:ffff:ffff:ffff:ff00:0"}}},
        {.text = "net 192.0.2.128/25",
         .family = 4,
         .addresses = {{TRACE_EITHER, "::ffff:192.0.2.128",
                        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ff80"}}},
        {.text = "net 0.0.0.0/0",
         .family = 4,
         .addresses = {{TRACE_EITHER, "::ffff:0.0.0.0", "ffff:ffff:ffff:ffff:ffff:ffff::"}}},
        {.text = "net ::/0", .family = 6},
        {.text = "net 10.0.0.1",
         .family = 4,
         .addresses = {{TRACE_EITHER, "::ffff:10.0.0.1", whole}}},
        {.text = "src 10.0.0.0/8",
         .family = 4,
         .addresses = {{TRACE_SRC, "::ffff:10.0.0.0", "ffff:ffff:ffff:ffff:ffff:ffff:ff00:0"}}},
        {.text = "net 2001:db8::/33",
         .family = 6,
         .addresses = {{TRACE_EITHER, "2001:db8::", "ffff:ffff:8000::"}}},
        {.text = "port 53", .ports = {53, 0, 0}},
        {.text = "src port 1", .ports = {0, 1, 0}},
        {.text = "dst port 65535", .ports = {0, 0, 65535}},
        {.text = "port 1 src port 2 dst port 3", .ports = {1, 2, 3}},
        {.text = "ip6 udp dst port 53 and src net 2001:db8::/32",
         .family = 6,
         .proto = 17,
         .addresses = {{TRACE_SRC, "2001:db8::", "ffff:ffff::"}},
         .ports = {0, 0, 53}},
        {.text = "\tsrc\tnet 2001:db8::/32  and port 53 and  udp ip6",
         .family = 6,
         .proto = 17,
         .addresses = {{TRACE_SRC, "2001:db8::", "ffff:ffff::"}},
         .ports = {53, 0, 0}},
    };
    for (const auto &c : cases) {
        INFO(c.text);
        const auto f = parse_filter(c.text);
        INFO((f ? "" : f.error().what));
        REQUIRE(f);
        CHECK(hex(*f) == hex(built(c)));
    }
}

TEST_CASE("a wrong filter is refused at the word")
{
    const std::vector<Refused> cases{
        {"tcp or udp", "or", "evnf trace takes no 'or': run two traces"},
        {"src or dst port 80", "or", "no 'or'", 4},
        {"tcp||udp", "||", "no 'or'"},
        {"not tcp", "not", "no 'not'"},
        {"!tcp", "!", "no 'not'"},
        {"tcp (port 80)", "(", "no parentheses"},
        {"tcp port 80)", ")", "no parentheses"},
        {"tcp && udp", "&&", "write and"},
        {"tcp or (", "or", "no 'or'"},
        {"and", "and", "one of them is missing"},
        {"and tcp", "and", "one of them is missing"},
        {"tcp and", "and", "one of them is missing"},
        {"tcp and and port 80", "and", "one of them is missing"},
        {"tcp port", "port", "such as port 80"},
        {"host", "host", "such as host 192.0.2.1"},
        {"ip6 host", "host", "such as host 2001:db8::1"},
        {"net", "net", "such as net 192.0.2.0/24"},
        {"ip6 net", "net", "such as net 2001:db8::/32"},
        {"proto", "proto", "such as proto 47"},
        {"tcp src", "src", "such as src host 192.0.2.1"},
        {"dst port", "port", "such as port 80"},
        {"src and dst 10.0.0.1", "and", "cannot follow src: write src host ADDRESS"},
        {"src tcp port 80", "tcp", "cannot follow src"},
        {"dst 80", "80", "write dst port 80"},
        {"src web1", "web1", "src net PREFIX"},
        {"src example.org", "example.org", "not an address or prefix"},
        {"host web1", "web1", "not an IPv4 or IPv6 address"},
        {"host tcp", "tcp", "not an IPv4 or IPv6 address"},
        {"host 10.0.0", "10.0.0", "not an IPv4 or IPv6 address"},
        {"host 10.0.0.0/8", "10.0.0.0/8", "write net 10.0.0.0/8"},
        {"host ::ffff:10.0.0.1", "::ffff:10.0.0.1", "write 10.0.0.1"},
        {"net 10.0.0.1/8", "10.0.0.1/8", "did you mean 10.0.0.0/8?"},
        {"src net 10.0.0.0/33", "10.0.0.0/33", "prefix length"},
        {"dst 10.0.0.1/8", "10.0.0.1/8", "did you mean 10.0.0.0/8?"},
        {"net 10/8", "10/8", "not an address or prefix"},
        {"port 0", "0", "port from 1 to 65535"},
        {"port 65536", "65536", "port from 1 to 65535"},
        {"port http", "http", "port from 1 to 65535"},
        {"port 80-90", "80-90", "port from 1 to 65535"},
        {"port -1", "-1", "port from 1 to 65535"},
        {"proto 0", "0", "hop-by-hop"},
        {"proto 256", "256", "not a protocol"},
        {"proto xns", "xns", "not a protocol"},
        {"10.0.0.9", "10.0.0.9", "write host 10.0.0.9"},
        {"tcp 2001:db8::1", "2001:db8::1", "write host 2001:db8::1"},
        {"10.0.0.0/8", "10.0.0.0/8", "write net 10.0.0.0/8"},
        {"tcp 80", "80", "write port 80"},
        {"6", "6", "proto 6"},
        {"ipv6", "ipv6", "did you mean ip6?"},
        {"dport 80", "dport", "did you mean dst port?"},
        {"xyzzy", "xyzzy", "is not a word of a filter: expected ip, ip6"},
        {"TCP", "TCP", "expected ip, ip6, tcp"},
        {"tcp[13]", "tcp[13]", "expected"},
        {"ip ip", "ip", "asked twice"},
        {"ip6 host 2001:db8::1 ip6", "ip6", "asked twice"},
        {"tcp tcp", "tcp", "tcp already"},
        {"tcp udp", "udp", "tcp already"},
        {"tcp proto 6", "6", "tcp already"},
        {"host 10.0.0.1 host 10.0.0.2", "host", "write src host and dst host"},
        {"host 10.0.0.1 net 10.0.0.0/8", "net", "address is asked twice"},
        {"src 10.0.0.1 and src 10.0.0.1", "src", "src address is asked twice"},
        {"dst host 10.0.0.1 dst net 10.0.0.0/8", "net", "dst address is asked twice"},
        {"net ::/0 net ::/0", "net", "address is asked twice"},
        {"port 1 port 1", "port", "write src port and dst port"},
        {"src port 1 src port 2", "port", "src port is asked twice"},
        {"ip ip6", "ip6", "'ip6' is about IPv6, but 'ip' before it about IPv4"},
        {"ip6 host 10.0.0.1", "10.0.0.1", "is about IPv4"},
        {"ip net ::/0", "::/0", "is about IPv6"},
        {"net ::/0 ip", "ip", "'::/0' before it about IPv6", 9},
        {"src 10.0.0.1 dst 2001:db8::1", "2001:db8::1", "one family"},
        {"ip6 icmp", "icmp", "is about IPv4"},
        {"icmp6 host 10.0.0.1", "10.0.0.1", "'icmp6' before it about IPv6"},
        {"host 10.0.0.1 icmp6", "icmp6", "is about IPv6"},
        {"ip6 proto 1", "1", "is about IPv4"},
        {"icmp port 80", "port", "protocol icmp has no ports"},
        {"dst port 80 and icmp", "icmp", "has no ports"},
        {"port 80 proto 47", "47", "protocol gre has no ports"},
        {"tcp\nport 80", "\n", "belongs to no word"},
        {"host 10.0.0.1\x1b[2J", "\x1b", "belongs to no word"},
        {"tcp \xe2\x80\x93 udp", "\xe2", "belongs to no word"},
        {std::string("tcp\0", 4), std::string(1, '\0'), "belongs to no word"},
    };
    for (const auto &c : cases) {
        INFO(c.text);
        const auto f = parse_filter(c.text);
        REQUIRE(!f);
        const Error &e = f.error();
        INFO(e.what);
        CHECK(e.what.find(c.because) != std::string::npos);
        CHECK(e.offset == (c.offset == std::string::npos ? c.text.rfind(c.word) : c.offset));
        CHECK(e.length == c.word.size());
        check_answer(c.text);
    }
}

TEST_CASE("any bytes and any words give a filter or an error within the text")
{
    static const std::vector<std::string> words{"ip",
                                                "ip6",
                                                "tcp",
                                                "udp",
                                                "icmp",
                                                "icmp6",
                                                "proto",
                                                "src",
                                                "dst",
                                                "host",
                                                "net",
                                                "port",
                                                "and",
                                                "or",
                                                "not",
                                                "(",
                                                ")",
                                                "!",
                                                "&&",
                                                "|",
                                                "80",
                                                "0",
                                                "65536",
                                                "47",
                                                "::/0",
                                                "::1",
                                                "10.0.0.1",
                                                "10.0.0.0/8",
                                                "2001:db8::/32",
                                                "10.0.0.1/8",
                                                "/",
                                                "-1",
                                                "é",
                                                "\x1b",
                                                "\xff",
                                                "",
                                                ".",
                                                "999999999999",
                                                "sport",
                                                "\t",
                                                ":",
                                                "proto",
                                                "src",
                                                "port",
                                                "host",
                                                "192.0.2.1/32",
                                                "net",
                                                "1/2"};
    Random random(1);
    unsigned accepted = 0;
    for (int i = 0; i < 200000; ++i) {
        std::string text;
        if (i % 4 == 0) {
            for (unsigned n = below(random, 24); n; --n)
                text += static_cast<char>(random());
        } else if (i % 4 == 1) { // mostly what words are made of
            static constexpr std::string_view letters = "iptcudhsornalf0123456789.:/ !()&|";
            for (unsigned n = below(random, 24); n; --n)
                text += letters[below(random, letters.size())];
        } else {
            for (unsigned n = below(random, 9); n; --n)
                text += words[below(random, static_cast<unsigned>(words.size()))] +
                        (below(random, 16) ? " " : "");
        }
        INFO(text);
        check_answer(text);
        accepted += parse_filter(text).has_value();
    }
    CHECK(accepted > 2000);
}

TEST_CASE("a filter matches the packets that its words say, and no others")
{
    Random random(2);
    unsigned matched = 0, total = 0;
    for (int i = 0; i < 20000; ++i) {
        const Model m = any_model(random);
        const std::string text = text_of(random, m);
        INFO(text);
        const auto f = parse_filter(text);
        INFO((f ? "" : f.error().what));
        REQUIRE(f);
        for (int j = 0; j < 20; ++j, ++total) {
            const flow_key k = any_key(random);
            const bool expected = matches(m, k);
            matched += expected;
            REQUIRE(trace_matches(&*f, &k) == (expected ? 1U : 0U));
        }
    }
    CHECK(matched > total / 20);
    CHECK(matched < total / 2);
}

TEST_CASE("an address and a port of either end need not be of the same")
{
    flow_key k{};
    k.saddr = in6("::ffff:10.0.0.9");
    k.daddr = in6("::ffff:10.0.0.1");
    k.sport = htons(1024);
    k.dport = htons(80);
    k.proto = IPPROTO_TCP;
    k.family = 4;
    const auto matched = [&](const char *text) {
        const auto f = parse_filter(text);
        REQUIRE(f);
        return trace_matches(&*f, &k) == 1;
    };
    CHECK(matched("host 10.0.0.9 port 80"));
    CHECK(matched("src 10.0.0.9 dst port 80"));
    CHECK_FALSE(matched("src 10.0.0.9 src port 80"));
    CHECK_FALSE(matched("dst 10.0.0.9"));
    CHECK_FALSE(matched("ip6"));
    CHECK(matched(""));
}
