// SPDX-License-Identifier: GPL-2.0-or-later
// What senders of rejected packets are told: every byte, and nothing for what must not be
// answered, or is not what it says.
#include <netinet/in.h>

#include <catch2/catch.hpp>
#include <cstring>

#include "support/frame.hpp"
#include "support/model.hpp"
#include "vnfs/efw/answer.hpp"
#include "vnfs/efw/rate.hpp"

using namespace evnf;
using namespace evnf::efw;
using namespace evnf::test;

namespace
{

enum Flag : std::uint8_t { fin = 1, syn = 2, rst = 4, ack = 16 };

std::optional<Bytes> answer(const Bytes &frame)
{
    const Parsed parsed = model_parse(frame);
    REQUIRE(parsed.reason == NEXT);
    return answer_to(frame, parsed.p);
}

std::uint32_t word(const Bytes &b, std::size_t at)
{
    return static_cast<std::uint32_t>(b[at]) << 24 | static_cast<std::uint32_t>(b[at + 1]) << 16 |
           static_cast<std::uint32_t>(b[at + 2]) << 8 | b[at + 3];
}

// From whom it was for to whom it came from, with right lengths and checksums.
void check_answer(const Bytes &answer, const Bytes &frame, const pkt &p)
{
    const bool v4 = p.flow.family == 4;
    const std::size_t at = v4 ? 20 : 40, size = v4 ? 4 : 16;
    const std::size_t src = v4 ? 12 : 8;
    REQUIRE(answer.size() >= at + 8);
    CHECK(answer[0] >> 4 == (v4 ? 4 : 6));
    const auto theirs = frame.begin() + p.l3_off + static_cast<long>(src);
    const auto ours = answer.begin() + static_cast<long>(src);
    const auto n = static_cast<long>(size);
    CHECK(std::equal(theirs, theirs + n, ours + n));
    CHECK(std::equal(theirs + n, theirs + 2 * n, ours));
    const std::size_t told = v4 ? answer[2] * 256U + answer[3] : 40 + answer[4] * 256U + answer[5];
    CHECK(told == answer.size());
    const std::uint8_t protocol = v4 ? answer[9] : answer[6];
    if (v4)
        CHECK(header_sum(answer, 0) == 0xffff);
    if (protocol == IPPROTO_ICMP)
        CHECK(plain_sum(&answer[at], answer.size() - at) == 0xffff);
    else
        CHECK(segment_sum(answer, 0, at, answer.size(), protocol) == 0xffff);
}

} // namespace

TEST_CASE("a TCP packet is reset by the rules of RFC 9293 3.10.7.1")
{
    for (const bool v4 : {true, false})
        for (const unsigned flags : {0U, 1U, 2U, 3U, 8U, 16U, 17U, 18U, 24U})
            for (const std::size_t payload : {0U, 1U, 7U, 1200U}) {
                Frame f{.proto = IPPROTO_TCP, .sport = 4000, .dport = 443};
                if (!v4) {
                    f.src = "2001:db8::1";
                    f.dst = "2001:db8::2";
                }
                f.tcp_flags = static_cast<std::uint8_t>(flags);
                f.tcp_options = 8;
                f.payload = Bytes(payload, 0x5a);
                f.padding = 9; // does not count
                Bytes frame = build(f);
                const pkt p = model_parse(frame).p;
                const Bytes seq{0xff, 0xff, 0xff, 0xfe, 1, 2, 3, 4};
                std::copy(seq.begin(), seq.end(), frame.begin() + p.l4_off + 4);
                const auto a = answer(frame);
                REQUIRE(a);
                check_answer(*a, frame, p);
                const std::size_t at = v4 ? 20 : 40;
                CHECK(a->size() == at + 20);
                CHECK(word(*a, at) == (443U << 16 | 4000));
                CHECK((*a)[at + 12] == 5 << 4);
                const auto length =
                    static_cast<std::uint32_t>(payload) + !!(flags & syn) + !!(flags & fin);
                CHECK((*a)[at + 13] == (flags & ack ? rst : rst | ack));
                CHECK(word(*a, at + 4) == (flags & ack ? 0x01020304 : 0));
                CHECK(word(*a, at + 8) == (flags & ack ? 0 : 0xfffffffe + length));
                // The header is all that is needed of it.
                const Bytes begin(frame.begin(), frame.begin() + p.l4_off + 20);
                CHECK(answer_to(begin, p) == a);
            }
}

TEST_CASE("others are told by ICMP, with as much of the packet as fits")
{
    for (const bool v4 : {true, false})
        for (const std::size_t payload : {0U, 1U, 519U, 520U, 521U, 1183U, 1184U, 1185U, 1400U}) {
            Frame f{.vlans = {5}, .tos = 0xb8, .proto = IPPROTO_UDP, .payload = Bytes(payload, 7)};
            if (!v4) {
                f.src = "2001:db8::1";
                f.dst = "2001:db8::2";
            }
            f.padding = 5;
            const Bytes frame = build(f);
            const pkt p = model_parse(frame).p;
            const auto a = answer(frame);
            REQUIRE(a);
            check_answer(*a, frame, p);
            const std::size_t at = v4 ? 20 : 40, whole = at + 8 + payload;
            const std::size_t quoted = std::min<std::size_t>(whole, v4 ? 548 : 1232);
            CHECK(a->size() == at + 8 + quoted);
            CHECK((*a)[at] == (v4 ? 3 : 1));
            CHECK((*a)[at + 1] == (v4 ? 13 : 1));
            CHECK(word(*a, at + 4) == 0);
            CHECK(std::equal(a->begin() + static_cast<long>(at) + 8, a->end(),
                             frame.begin() + p.l3_off));
        }
}

TEST_CASE("what must not be answered is not")
{
    const auto silent = [](Frame f) { return !answer(build(f)); };
    CHECK(silent({.tcp_flags = rst}));
    CHECK(silent({.tcp_flags = rst | ack}));
    CHECK(silent({.dmac = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}));
    CHECK(silent({.dmac = {1, 0, 0x5e, 0, 0, 9}}));
    CHECK(silent({.src = "192.0.2.1", .dst = "192.0.2.1"}));
    CHECK(silent({.frag = 0x2001, .proto = IPPROTO_UDP}));
    CHECK_FALSE(silent({.frag = 0x2000, .proto = IPPROTO_UDP}));
    for (const char *many : {"0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "239.255.255.255",
                             "240.0.0.1", "255.255.255.255"}) {
        CHECK(silent({.src = many, .proto = IPPROTO_UDP}));
        CHECK(silent({.dst = many, .proto = IPPROTO_UDP}));
    }
    for (const char *many : {"::", "::1", "ff02::1", "::ffff:1.2.3.4"}) {
        CHECK(silent({.src = many, .dst = "2001:db8::1", .proto = IPPROTO_UDP}));
        CHECK(silent({.src = "2001:db8::1", .dst = many, .proto = IPPROTO_UDP}));
    }
    for (unsigned type = 0; type < 256; ++type) {
        const bool error4 = type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
        const auto t = static_cast<std::uint8_t>(type);
        CHECK(silent({.proto = IPPROTO_ICMP, .icmp_type = t}) == (error4 || type > 18));
        CHECK(silent({.src = "2001:db8::1",
                      .dst = "2001:db8::2",
                      .proto = IPPROTO_ICMPV6,
                      .icmp_type = t}) == (type < 128 || type == 137));
    }
}

TEST_CASE("nothing that comes makes an answer that is wrong")
{
    Random random(11);
    unsigned answered = 0, silent = 0;
    for (int i = 0; i < 200'000; ++i) {
        Bytes frame = build(random_frame(random));
        if (roll(random, 2))
            frame = mutate(std::move(frame), random);
        const Parsed parsed = model_parse(frame);
        if (parsed.reason != NEXT)
            continue;
        const auto a = answer_to(frame, parsed.p);
        ++(a ? answered : silent);
        if (a)
            check_answer(*a, frame, parsed.p);
    }
    CHECK(answered > 10'000);
    CHECK(silent > 10'000);
}

// More than the fast path can do: what it says of the packet is anything too.
TEST_CASE("random bytes are only read where they are")
{
    Random random(12);
    for (int i = 0; i < 500'000; ++i) {
        Bytes frame(roll(random, 1300));
        for (auto &byte : frame)
            byte = static_cast<std::uint8_t>(random());
        if (!frame.empty())
            frame[0] &= 0xfe;
        pkt p{};
        std::array<std::uint8_t, sizeof p> any{};
        for (auto &byte : any)
            byte = static_cast<std::uint8_t>(random());
        std::memcpy(&p, any.data(), sizeof p);
        p.flow.family = roll(random, 2) ? 4 : 6;
        p.l4 = static_cast<std::uint8_t>(roll(random, 3));
        if (roll(random, 2))
            p.flow.proto = IPPROTO_TCP;
        if (roll(random, 2))
            p.l4_off = static_cast<std::uint16_t>(roll(random, 1400));
        if (roll(random, 2))
            p.l3_off = static_cast<std::uint16_t>(roll(random, 1400));
        if (roll(random, 2))
            p.l3_end = roll(random, 1400);
        const auto a = answer_to(frame, p);
        if (a && (a->size() < 40 || a->size() > 1280))
            FAIL("an answer of " << a->size() << " bytes");
    }
}

TEST_CASE("a bucket gives what its rate says")
{
    constexpr Rate rate{.per_second = 100, .burst = 20};
    constexpr std::uint64_t second = 1'000'000'000;
    Bucket bucket;
    std::uint64_t now = 5 * second;
    unsigned taken = 0;
    for (int i = 0; i < 1000; ++i)
        taken += bucket.take(now, rate);
    CHECK(taken == 20);
    for (int ms = 0; ms < 2000; ++ms)
        taken += bucket.take(now += 1'000'000, rate);
    CHECK(taken == 220);
    CHECK_FALSE(bucket.take(now, rate));
    taken = 0;
    for (int i = 0; i < 1000; ++i)
        taken += bucket.take(now + 60 * second, rate);
    CHECK(taken == 20);
}

TEST_CASE("each address has its own bucket")
{
    constexpr Rate rate{.per_second = 1, .burst = 2};
    AddressBuckets buckets;
    const auto one = *Address::parse("192.0.2.1"), other = *Address::parse("2001:db8::1");
    CHECK(buckets.take(one, 1, rate));
    CHECK(buckets.take(one, 1, rate));
    CHECK_FALSE(buckets.take(one, 1, rate));
    CHECK(buckets.take(other, 1, rate));
    CHECK_FALSE(buckets.take(one, 1, rate));
}
