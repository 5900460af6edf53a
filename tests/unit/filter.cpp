// SPDX-License-Identifier: GPL-2.0-or-later
// The words of `evnf trace`: what they ask for, which word is blamed, and which packets match.
#include "filter/filter.hpp"

#include <arpa/inet.h>
#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <random>
#include <string>
#include <vector>

using namespace evnf;
using filter::parse_filter;

namespace
{

using Random = std::mt19937_64;

unsigned below(Random &random, unsigned n)
{
    return static_cast<unsigned>(random() % n);
}

// An address or mask in IPv6's form, so that an IPv4-mapped one is spelled out.
ip_addr in6(const std::string &text)
{
    ip_addr a{};
    REQUIRE(inet_pton(AF_INET6, text.c_str(), &a) == 1);
    return a;
}

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

// A filter as plainly as can be, and the packets it matches bit after bit.
struct Model {
    struct Net {
        ip_addr addr;
        unsigned bits; // of all 128
    };
    std::optional<Net> net[TRACE_ENDS];
    std::optional<std::uint16_t> port[TRACE_ENDS];
    int family = 0;
    std::optional<std::uint8_t> proto;
};

bool bit_of(const ip_addr &a, unsigned i)
{
    const auto *bytes = reinterpret_cast<const unsigned char *>(&a);
    return bytes[i / 8] >> (7 - i % 8) & 1;
}

bool in_net(const Model::Net &net, const ip_addr &a)
{
    for (unsigned i = 0; i < net.bits; ++i)
        if (bit_of(a, i) != bit_of(net.addr, i))
            return false;
    return true;
}

bool matches(const Model &m, const flow_key &k)
{
    if (m.family && m.family != k.family)
        return false;
    if (m.proto && *m.proto != k.proto)
        return false;
    if (const auto &n = m.net[TRACE_EITHER]; n && !in_net(*n, k.saddr) && !in_net(*n, k.daddr))
        return false;
    if (const auto &n = m.net[TRACE_SRC]; n && !in_net(*n, k.saddr))
        return false;
    if (const auto &n = m.net[TRACE_DST]; n && !in_net(*n, k.daddr))
        return false;
    const std::uint16_t sport = ntohs(k.sport), dport = ntohs(k.dport);
    if (const auto &p = m.port[TRACE_EITHER]; p && *p != sport && *p != dport)
        return false;
    if (const auto &p = m.port[TRACE_SRC]; p && *p != sport)
        return false;
    if (const auto &p = m.port[TRACE_DST]; p && *p != dport)
        return false;
    return true;
}

// Of few addresses, so that filters and packets meet; one is another with one bit turned.
ip_addr any_address(Random &random, int family)
{
    ip_addr a = in6(family == 4 ? "::ffff:192.0.2.1" : "2001:db8::1");
    auto *bytes = reinterpret_cast<unsigned char *>(&a);
    if (below(random, 2)) {
        const unsigned i = family == 4 ? 96 + below(random, 32) : below(random, 128);
        bytes[i / 8] = static_cast<unsigned char>(bytes[i / 8] ^ (0x80U >> i % 8));
    }
    return a;
}

std::uint16_t any_port(Random &random)
{
    static constexpr std::uint16_t ports[]{53, 80, 80 << 8, 53 << 8, 65535, 1};
    return ports[below(random, std::size(ports))];
}

std::uint8_t any_protocol(Random &random)
{
    static constexpr std::uint8_t protocols[]{IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP, 47, 255};
    return protocols[below(random, std::size(protocols))];
}

bool has_ports(std::uint8_t protocol)
{
    return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP;
}

flow_key any_key(Random &random)
{
    flow_key k{};
    k.family = below(random, 2) ? 4 : 6;
    // An IPv4-mapped address may stand in an IPv6 packet too.
    const int address_family = below(random, 8) ? k.family : 4;
    k.saddr = any_address(random, address_family);
    k.daddr = any_address(random, address_family);
    k.proto = any_protocol(random);
    if (has_ports(k.proto) && below(random, 8)) { // else a later fragment
        k.sport = htons(any_port(random));
        k.dport = htons(any_port(random));
    }
    return k;
}

Model any_model(Random &random)
{
    Model m;
    const int family = below(random, 2) ? 4 : 6;
    if (below(random, 6) == 0)
        m.family = family;
    if (below(random, 3) == 0)
        m.proto = any_protocol(random);
    for (int end = 0; end < TRACE_ENDS; ++end) {
        if (below(random, 4) == 0) {
            const unsigned first = family == 4 ? 96 : 0;
            const unsigned bits =
                below(random, 3) ? first + below(random, 129 - first) : 128; // 128: a host
            ip_addr a = any_address(random, family);
            auto *bytes = reinterpret_cast<unsigned char *>(&a);
            for (unsigned i = bits; i < 128; ++i)
                bytes[i / 8] = static_cast<unsigned char>(bytes[i / 8] & ~(0x80U >> i % 8));
            m.net[end] = Model::Net{a, bits};
            m.family = family;
        }
        if (below(random, 4) == 0 && has_ports(m.proto.value_or(IPPROTO_TCP)))
            m.port[end] = any_port(random);
    }
    return m;
}

// One of the ways to write it down.
std::string text_of(Random &random, const Model &m)
{
    static const std::string ends[]{"", "src ", "dst "};
    std::vector<std::string> parts;
    const bool told = m.net[TRACE_EITHER] || m.net[TRACE_SRC] || m.net[TRACE_DST];
    if (m.family && (!told || below(random, 2)))
        parts.emplace_back(m.family == 4 ? "ip" : "ip6");
    if (m.proto)
        parts.push_back(*m.proto == IPPROTO_TCP && below(random, 2)
                            ? "tcp"
                            : "proto " + std::to_string(*m.proto));
    for (int end = 0; end < TRACE_ENDS; ++end) {
        if (const auto &n = m.net[end]) {
            char text[INET6_ADDRSTRLEN];
            if (m.family == 4)
                inet_ntop(AF_INET, &n->addr.w[3], text, sizeof text);
            else
                inet_ntop(AF_INET6, &n->addr, text, sizeof text);
            const unsigned length = n->bits - (m.family == 4 ? 96 : 0);
            const std::string bare = end != TRACE_EITHER && below(random, 2) ? "" : "host ";
            parts.push_back(ends[end] +
                            (n->bits == 128 && below(random, 2)
                                 ? bare + text
                                 : "net " + std::string(text) + "/" + std::to_string(length)));
        }
        if (m.port[end])
            parts.push_back(ends[end] + "port " + std::to_string(*m.port[end]));
    }
    std::shuffle(parts.begin(), parts.end(), random);
    std::string out;
    for (const auto &part : parts)
        out += (out.empty() ? "" : below(random, 2) ? " and " : " ") + part;
    return out;
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
        {"proto gre", "gre", "not a protocol"},
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
        {"port 80 proto 47", "47", "protocol 47 has no ports"},
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
