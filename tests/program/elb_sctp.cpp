// SPDX-License-Identifier: GPL-2.0-or-later
// elb and SCTP: what its chunks say of an association, and that nothing but addresses changes.
#include <catch2/catch.hpp>

#include "support/elb_connected.hpp"
#include "support/fragments.hpp"

using namespace evnf;
using namespace evnf::test;

namespace
{

enum Chunk : std::uint8_t {
    data = 0,
    init = 1,
    init_ack = 2,
    sack = 3,
    heartbeat = 4,
    abort_ = 6,
    shutdown_ = 7,
    shutdown_ack = 8,
    cookie_echo = 10,
    cookie_ack = 11,
    shutdown_complete = 14,
};

constexpr std::uint32_t tag = 0x9abcdef0;

// A packet of chunks of some length each; the first word of INIT and INIT ACK is a tag.
Frame packet(Frame f, const std::vector<Chunk> &chunks, std::size_t length = 18)
{
    f.proto = IPPROTO_SCTP;
    f.payload.clear();
    for (const Chunk c : chunks) {
        const std::size_t start = f.payload.size();
        f.payload.resize(start + (length + 3) / 4 * 4, 0x77);
        f.payload[start] = c;
        f.payload[start + 1] = 0;
        f.payload[start + 2] = static_cast<std::uint8_t>(length >> 8);
        f.payload[start + 3] = static_cast<std::uint8_t>(length);
        for (int i = 0; i < 4; ++i)
            f.payload[start + 4 + static_cast<std::size_t>(i)] =
                static_cast<std::uint8_t>(tag >> (24 - 8 * i));
    }
    return f;
}

class Sctp : public Connected
{
public:
    void one(const std::string &at)
    {
        const std::string six = "2001:db8:2::" + at.substr(at.rfind('.') + 1);
        configure({service(vip, 80, "sctp", {backend(at, 80)}),
                   service(vip6, 80, "sctp", {backend(six, 80)})});
    }
    // Sends it as it is, but for its verification tag.
    std::string send(const Frame &f, std::uint32_t verification = tag)
    {
        Bytes in = build(f);
        const std::size_t at = layout(f).l4 + 4;
        for (std::size_t i = 0; i < 4; ++i)
            in[at + i] = static_cast<std::uint8_t>(verification >> (24 - 8 * i));
        const Ran r = run(in);
        Frame want = f;
        want.src = address_of(r.seen.flow.saddr);
        want.dst = address_of(r.seen.flow.daddr);
        Bytes wanted = build(want); // the checksum is not made anew, nor need it be
        std::copy(in.begin() + static_cast<long>(at), in.begin() + static_cast<long>(at + 4),
                  wanted.begin() + static_cast<long>(at));
        CHECK(r.out == wanted);
        return f.sport == 80 ? want.src : want.dst;
    }
    Frame from_backend(const Frame &f, const std::vector<Chunk> &chunks, const std::string &at)
    {
        return packet(answer_to(f, at, 80), chunks);
    }
    void associate(const Frame &f, const std::string &at)
    {
        CHECK(send(packet(f, {init}), 0) == at);
        CHECK(send(from_backend(f, {init_ack}, at)) == f.dst);
        CHECK(send(packet(f, {cookie_echo, data})) == at);
        CHECK(send(from_backend(f, {cookie_ack, sack}, at)) == f.dst);
    }
};

const Frame from_client = to_vip(client, 4000, IPPROTO_SCTP);

} // namespace

TEST_CASE_METHOD(Sctp, "an association keeps its backend, and nothing but addresses is changed")
{
    for (const bool six : {false, true}) {
        const Frame f = to_vip(six ? client6 : client, 4000, IPPROTO_SCTP);
        const std::string at = six ? "2001:db8:2::11" : "10.0.2.11";
        one("10.0.2.11");
        associate(f, at);
        CHECK(established() == (six ? 2U : 1U));
        one("10.0.2.12");
        CHECK(send(packet(f, {data})) == at);
        CHECK(send(packet(f, {init}), 0) == at); // it begins anew, where it is
        CHECK(send(from_backend(f, {heartbeat}, at)) == f.dst);
        CHECK(send(packet(to_vip(f.src, 4001), {init}), 0) != at);
        // A datagram in fragments.
        const Frame big = packet(f, {data}, 200);
        for (const auto &part : fragments(big, build(big), 5, {40, 96}))
            CHECK(address_of(run(part).seen.flow.daddr) == at);
    }
}

TEST_CASE_METHOD(Sctp, "who has not seen the tag of the INIT ACK establishes nothing")
{
    one("10.0.2.11");
    const auto forged = [&] {
        CHECK(send(packet(from_client, {cookie_echo}), tag ^ 1) == "10.0.2.11");
        CHECK(send(packet(from_client, {data}), 0) == "10.0.2.11");
        CHECK(send(packet(from_client, {heartbeat}), tag ^ 0x80000000) == "10.0.2.11");
        CHECK(established() == 0);
    };
    send(packet(from_client, {init}), 0);
    forged();
    CHECK(send(from_backend(from_client, {init_ack}, "10.0.2.11")) == vip);
    forged();
    send(packet(from_client, {init}), tag);
    CHECK(established() == 0);
    send(packet(from_client, {cookie_echo}));
    CHECK(established() == 1);
    // Of two INIT ACKs the client uses one or the other: the backend knows its cookie.
    const Frame other = to_vip(client, 4001, IPPROTO_SCTP);
    send(packet(other, {init}), 0);
    send(from_backend(other, {init_ack}, "10.0.2.11"));
    send(packet(other, {cookie_echo}), tag ^ 1);
    CHECK(established() == 1);
    send(from_backend(other, {cookie_ack}, "10.0.2.11"));
    send(packet(other, {data}), tag ^ 1);
    CHECK(established() == 2);
}

TEST_CASE_METHOD(Sctp, "an association ends by what ends it, wherever in the packet")
{
    struct Case {
        std::vector<Chunk> of_client, of_backend;
        bool over;
    };
    const std::vector<Case> cases{
        {{shutdown_}, {}, true},
        {{}, {shutdown_}, true},
        {{shutdown_}, {shutdown_ack}, true},
        {{sack, shutdown_}, {shutdown_ack}, true},
        {{shutdown_complete}, {}, true},
        {{abort_}, {}, true},
        {{}, {sack, heartbeat, abort_}, true},
        {{sack, heartbeat}, {sack}, false},
        {{cookie_echo, data, shutdown_}, {}, false}, // nothing follows data but data
    };
    unsigned port = 1000;
    for (const auto &c : cases) {
        const Frame f = to_vip(client, ++port, IPPROTO_SCTP);
        one("10.0.2.11");
        associate(f, "10.0.2.11");
        if (!c.of_client.empty())
            send(packet(f, c.of_client));
        if (!c.of_backend.empty())
            send(from_backend(f, c.of_backend, "10.0.2.11"));
        one("10.0.2.12");
        CHECK(send(packet(f, {sack})) == "10.0.2.11"); // what is still under way
        INFO("case " << port - 1000);
        if (c.of_client == std::vector{abort_})
            continue; // who goes on has not sent it
        CHECK(send(packet(f, {init}), 0) == (c.over ? "10.0.2.12" : "10.0.2.11"));
    }
}

TEST_CASE_METHOD(Sctp, "chunks that lie about their length are not followed")
{
    one("10.0.2.11");
    Random random(5);
    for (int i = 0; i < 2000; ++i) {
        const auto n = 1 + roll(random, 12);
        Frame f = to_vip(client, 2000 + roll(random, 3), IPPROTO_SCTP);
        f.payload.resize(n);
        for (auto &byte : f.payload)
            byte = static_cast<std::uint8_t>(roll(random, 3) ? roll(random, 16) : random());
        CHECK(send(f, static_cast<std::uint32_t>(random())) == "10.0.2.11");
    }
    CHECK(established() == 0);
}

TEST_CASE_METHOD(Sctp, "a backend of an SCTP service has its port")
{
    const json wanted{{"service", {service(vip, 80, "sctp", {backend("10.0.2.11", 81)})}}};
    const auto refused = find_vnf("elb")->check(wanted, nullptr);
    REQUIRE(!refused);
    CHECK(refused.error().message().find("SCTP's checksum covers ports") != std::string::npos);
}
