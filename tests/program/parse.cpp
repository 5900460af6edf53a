// SPDX-License-Identifier: GPL-2.0-or-later
// The root's parser: every kind of frame cut at every byte, and random ones, against
// the model; and the cuts that matter most written out, so that the model is held too.
#include <linux/bpf.h>
#include <netinet/in.h>

#include "support/chain.hpp"
#include "support/model.hpp"

using namespace evnf::test;

namespace
{

class Parser : public ChainFixture
{
public:
    // Runs the frame and demands what the model says, of it and of nothing else.
    Ran check(const Bytes &frame)
    {
        const Parsed model = model_parse(frame);
        const Ran r = run(frame);
        const bool drop = (model.reason & VERDICT_MASK) == VERDICT_DROP;
        const std::string differs = difference(model, r.seen);
        const bool same = r.verdict == (drop ? XDP_DROP : XDP_PASS) && differs.empty() &&
                          left(root_at, model.reason) == 1 && (drop || r.out == frame);
        if (!same) {
            INFO("reason should be " << model.reason << ", verdict is " << r.verdict << "\n"
                                     << differs << hex(frame));
            CHECK(same);
        }
        return r;
    }

    void check_all_cuts(const Bytes &frame)
    {
        for (std::size_t n = 14; n <= frame.size(); ++n)
            check(Bytes(frame.begin(), frame.begin() + static_cast<long>(n)));
    }

    unsigned reason(const Bytes &frame) { return check(frame), model_parse(frame).reason; }
};

Bytes cut(const Bytes &frame, std::size_t n)
{
    return Bytes(frame.begin(), frame.begin() + static_cast<long>(n));
}

const std::string v6_src = "2001:db8:1::1", v6_dst = "2001:db8:2::1";

Frame v6(Frame f)
{
    f.src = v6_src;
    f.dst = v6_dst;
    return f;
}

Bytes quote(const Frame &f)
{
    const Bytes whole = build(f);
    return Bytes(whole.begin() + 14, whole.end());
}

std::vector<Frame> kinds()
{
    std::vector<Frame> all;
    using List8 = std::vector<std::uint8_t>;
    using List16 = std::vector<std::uint16_t>;
    for (const auto proto : List8{IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP, IPPROTO_ICMP, IPPROTO_ESP,
                                  IPPROTO_GRE, IPPROTO_ICMPV6}) {
        all.push_back({.proto = proto, .padding = 6});
        all.push_back(v6({.proto = proto, .padding = 6}));
        all.push_back({.vlans = {5}, .ip_options = 12, .proto = proto});
        all.push_back(v6({.vlans = {5, 0xe00a}, .proto = proto}));
        all.push_back({.vlans = {1, 2, 3}, .proto = proto});
        all.push_back({.frag = 0x2000, .proto = proto});
        all.push_back({.frag = 0x2001, .proto = proto});
        all.push_back({.frag = 0x0001, .proto = proto});
        all.push_back({.frag = 0x4000, .proto = proto});
        for (const auto ext : List8{0, 43, 60, 51, 44}) {
            all.push_back(v6({.ext = {{ext, 8}}, .proto = proto}));
            all.push_back(
                v6({.ext = {{0, 8}, {ext, ext == 44 ? 8U : 24U}, {60, 16}}, .proto = proto}));
        }
        for (const auto word : List16{0x0001, 0x0008, 0x0009, 0x0000}) // first, later, …, atomic
            all.push_back(v6({.ext = {{44, 8, word}, {60, 8}}, .proto = proto}));
        all.push_back(v6({.ext = std::vector<ExtHeader>(8, {60, 8}), .proto = proto}));
        all.push_back(v6({.ext = std::vector<ExtHeader>(9, {60, 8}), .proto = proto}));
        all.push_back(v6({.ext = {{60, 1016}, {60, 64}}, .proto = proto}));
    }
    for (const auto type : List8{3, 4, 5, 11, 12, 0, 8}) {
        all.push_back({.proto = IPPROTO_ICMP, .icmp_type = type, .payload = quote({})});
        all.push_back({.proto = IPPROTO_ICMP,
                       .icmp_type = type,
                       .payload = quote({.ip_options = 8, .proto = IPPROTO_UDP})});
        all.push_back(
            {.proto = IPPROTO_ICMP, .icmp_type = type, .payload = quote({.frag = 0x0003})});
    }
    for (const auto type : List8{1, 2, 3, 4, 5, 128}) {
        all.push_back(v6({.proto = IPPROTO_ICMPV6, .icmp_type = type, .payload = quote(v6({}))}));
        all.push_back(v6({.proto = IPPROTO_ICMPV6,
                          .icmp_type = type,
                          .payload = quote(v6({.ext = {{0, 8}, {44, 8, 0x0010}}}))}));
        all.push_back(v6({.proto = IPPROTO_ICMPV6,
                          .icmp_type = type,
                          .payload = quote(v6({.ext = {{60, 16}}, .proto = IPPROTO_UDP}))}));
    }
    all.push_back({.ethertype = 0x0806});
    all.push_back({.ethertype = 0x8847});
    all.push_back(v6({.proto = IPPROTO_NONE, .payload = {}}));
    all.push_back({.tcp_options = 40});
    return all;
}

} // namespace

TEST_CASE_METHOD(Parser, "each kind of frame, cut at each byte, is told exactly")
{
    for (const Frame &f : kinds())
        check_all_cuts(build(f));
}

TEST_CASE_METHOD(Parser, "what is malformed is told apart from what is not ours")
{
    const Bytes v4 = build({});
    const Bytes six = build(v6({}));
    const Bytes tagged = build({.vlans = {7, 8}});
    CHECK(reason(cut(v4, 14)) == DROP_IP_CUT);
    CHECK(reason(cut(v4, 33)) == DROP_IP_CUT);
    CHECK(reason(cut(v4, 34)) == DROP_IP_LENGTH);
    CHECK(reason(cut(v4, v4.size() - 1)) == DROP_IP_LENGTH);
    CHECK(reason(v4) == NEXT);
    CHECK(reason(cut(build({.ip_options = 8}), 41)) == DROP_IP_CUT);
    CHECK(reason(cut(six, 53)) == DROP_IP_CUT);
    CHECK(reason(cut(six, 54)) == DROP_IP_LENGTH);
    CHECK(reason(six) == NEXT);
    CHECK(reason(cut(tagged, 17)) == DROP_LINK_CUT);
    CHECK(reason(cut(tagged, 21)) == DROP_LINK_CUT);
    CHECK(reason(cut(tagged, 22)) == DROP_IP_CUT);
    CHECK(reason(build({.vlans = {1, 2, 3}})) == SLOW_NOT_IP);
    CHECK(reason(build({.ethertype = 0x0806})) == SLOW_NOT_IP);
    auto with = [](Bytes frame, std::size_t at, std::uint8_t byte) {
        frame[at] = byte;
        return frame;
    };
    CHECK(reason(with(v4, 14, 0x44)) == DROP_IP_HEADER);  // header length 16
    CHECK(reason(with(v4, 14, 0x65)) == DROP_IP_HEADER);  // version 6
    CHECK(reason(with(v4, 17, 19)) == DROP_IP_HEADER);    // total length 19
    CHECK(reason(with(six, 14, 0x40)) == DROP_IP_HEADER); // version 4
}

TEST_CASE_METHOD(Parser, "layer 4 is read, or known to be unreadable")
{
    auto l4 = [this](const Bytes &frame) { return check(frame).seen.l4; };
    CHECK(l4(build({})) == PKT_L4_PORTS);
    CHECK(l4(build({.proto = IPPROTO_ICMP})) == PKT_L4_ICMP);
    CHECK(l4(build({.proto = IPPROTO_ICMPV6})) == PKT_L4_OTHER);
    CHECK(l4(build(v6({.proto = IPPROTO_ICMP}))) == PKT_L4_OTHER);
    CHECK(l4(build({.frag = 0x0001})) == PKT_L4_FRAGMENT);
    CHECK(l4(build({.proto = IPPROTO_SCTP, .payload = {}})) == PKT_L4_PORTS);
    CHECK(l4(build(v6({.ext = std::vector<ExtHeader>(8, {60, 8})}))) == PKT_L4_PORTS);
    CHECK(l4(build(v6({.ext = std::vector<ExtHeader>(9, {60, 8})}))) == PKT_L4_UNREAD);
    CHECK(l4(build(v6({.ext = {{44, 8, 8}, {60, 8}}}))) == PKT_L4_UNREAD);
    CHECK(l4(build(v6({.ext = {{44, 8, 8}}}))) == PKT_L4_FRAGMENT);
    Bytes doff = build({});
    doff[14 + 20 + 12] = 0x40;
    CHECK(l4(doff) == PKT_L4_BAD);
    Bytes short_udp = build({.proto = IPPROTO_UDP});
    short_udp[14 + 20 + 5] = 7;
    CHECK(l4(short_udp) == PKT_L4_BAD);
    const pkt p = check(build({.vlans = {9, 11}, .sport = 7, .dport = 8, .tcp_flags = 0x12})).seen;
    CHECK(ntohs(p.flow.sport) == 7);
    CHECK(ntohs(p.flow.dport) == 8);
    CHECK(p.tcp_flags == 0x12);
    CHECK(p.vlan_tci[0] == 9);
    CHECK(p.vlan_tci[1] == 11);
    CHECK(p.l4_off == 14 + 8 + 20);
}

TEST_CASE_METHOD(Parser, "an ICMP error shows the flow that it is about")
{
    const pkt p =
        check(build({.proto = IPPROTO_ICMP,
                     .icmp_type = 3,
                     .payload = quote({.src = "203.0.113.9", .sport = 80, .dport = 4321})}))
            .seen;
    CHECK((p.flags & PKT_F_QUOTED) != 0);
    CHECK(p.quoted_l4 == PKT_L4_PORTS);
    CHECK(ntohs(p.quoted.sport) == 80);
    CHECK(ntohs(p.quoted.dport) == 4321);
    CHECK(p.quoted_l3_off == 14 + 20 + 8);
}

TEST_CASE_METHOD(Parser, "program and model agree on random frames")
{
    Random random(20);
    for (int i = 0; i < 200000; ++i) {
        const Bytes frame = build(random_frame(random));
        check(i % 4 == 0 ? frame : mutate(frame, random));
    }
}
