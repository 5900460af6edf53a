// SPDX-License-Identifier: GPL-2.0-or-later
#include <catch2/catch.hpp>

#include "support/efw_universe.hpp"
#include "vnfs/efw/packet.hpp"

using namespace evnf;
using namespace evnf::efw;

namespace
{

// The message, with the word at fault.
std::string fault(const std::string &text)
{
    auto p = parse_packet(text);
    return p ? "none"
             : "[" + text.substr(p.error().offset, p.error().length) + "] " + p.error().what;
}

std::string again(const std::string &text)
{
    auto p = parse_packet(text);
    return p ? text_of(*p) : p.error().what;
}

} // namespace

TEST_CASE("a packet is what its text says")
{
    auto p = parse_packet("tcp 198.51.100.7:4000 > 192.0.2.10:22 in eth0 syn,ack vlan 7 dscp 46");
    REQUIRE(p);
    CHECK(p->src.text() == "198.51.100.7");
    CHECK(p->dst.text() == "192.0.2.10");
    CHECK(p->protocol == 6);
    CHECK(p->sport == 4000);
    CHECK(p->dport == 22);
    CHECK(p->tcp_flags == 0x12);
    CHECK(p->in == "eth0");
    CHECK(p->vlan == 7);
    CHECK(p->dscp == 46);
    CHECK(p->length == 40);
    CHECK(p->fragment == PKT_FRAG_NONE);
}

TEST_CASE("what is not said is what packets mostly have")
{
    CHECK(again("tcp 192.0.2.1:1 > 192.0.2.2:2") == "tcp 192.0.2.1:1 > 192.0.2.2:2 syn");
    CHECK(again("icmp 192.0.2.1 > 192.0.2.2") == "icmp 192.0.2.1 > 192.0.2.2 type 8/0");
    CHECK(again("icmpv6 2001:db8::1 > 2001:db8::2") ==
          "icmpv6 2001:db8::1 > 2001:db8::2 type 128/0");
    CHECK(again("icmp 192.0.2.1 > 192.0.2.2 type 3") == "icmp 192.0.2.1 > 192.0.2.2 type 3/0");
    CHECK(again("protocol 17 [2001:db8::1]:53 > [2001:db8::2]:53 len 48") ==
          "udp [2001:db8::1]:53 > [2001:db8::2]:53");
    CHECK(again("udp 192.0.2.1 > 192.0.2.2 len 1500 frag later") ==
          "udp 192.0.2.1 > 192.0.2.2 frag later len 1500");
    CHECK(again("protocol 47 192.0.2.1 > 192.0.2.2 daddr != @b saddr @a") ==
          "gre 192.0.2.1 > 192.0.2.2 saddr @a daddr != @b");
}

TEST_CASE("a wrong packet is refused at the word at fault")
{
    CHECK(fault("") == "[] the protocol is missing: a packet is written as tcp 198.51.100.7:4000 > "
                       "192.0.2.10:22 in eth0 syn");
    CHECK_THAT(fault("tpc 192.0.2.1:1 > 192.0.2.2:2"), Catch::StartsWith("[tpc] a packet begins"));
    CHECK_THAT(fault("tcp 192.0.2.1:1 192.0.2.2:2"), Catch::StartsWith("[192.0.2.2:2] '>'"));
    CHECK_THAT(fault("tcp 192.0.2.1 > 192.0.2.2:2"), Catch::StartsWith("[192.0.2.1] a port is"));
    CHECK(fault("icmp 192.0.2.1 > 192.0.2.2:2") ==
          "[192.0.2.2:2] only tcp, udp and sctp have ports");
    CHECK(fault("udp 192.0.2.1:1 > 192.0.2.2:2 frag later") ==
          "[192.0.2.1:1] no port is looked at in a fragment");
    CHECK_THAT(fault("udp 192.0.2.1:1 > [2001:db8::1]:2"), Catch::Contains("another family"));
    CHECK_THAT(fault("udp 192.0.2.1:1 > 192.0.2.2:2 ack"), Catch::StartsWith("[ack] only a"));
    CHECK_THAT(fault("udp 192.0.2.1:1 > 192.0.2.2:2 type 8/0"), Catch::StartsWith("[type] only"));
    CHECK_THAT(fault("tcp 192.0.2.1:1 > 192.0.2.2:2 len 39"), Catch::EndsWith("at least 40 bytes"));
    CHECK_THAT(fault("tcp 192.0.2.1:1 > 192.0.2.2:2 vlan 4096"), Catch::StartsWith("[4096]"));
    CHECK_THAT(fault("tcp 192.0.2.1:1 > 192.0.2.2:2 in a in b"),
               Catch::StartsWith("[in] in given"));
    CHECK_THAT(fault("tcp 192.0.2.1:1 > 192.0.2.2:2 syn ack"), Catch::StartsWith("[ack] flags"));
    CHECK_THAT(fault("tcp 192.0.2.1:1 > 192.0.2.2:99999"), Catch::StartsWith("[192.0.2.2:99999]"));
    CHECK_THAT(fault("tcp 192.0.2.1:1 > 192.0.2.2:2 dscp"), Catch::Contains("is missing"));
    CHECK_THAT(fault("tcp 192.0.2.1:1 > 192.0.2.2:2 soon"), Catch::StartsWith("[soon]"));
    CHECK_THAT(fault("icmp 192.0.2.1 > 192.0.2.2 dport @a"), Catch::EndsWith("has no port"));
}

TEST_CASE("a packet may have a header that nobody can read")
{
    CHECK(again("tcp 192.0.2.1 > 192.0.2.2 malformed len 60") ==
          "tcp 192.0.2.1 > 192.0.2.2 malformed len 60");
    CHECK(again("unread 2001:db8::1 > 2001:db8::2 frag later len 48") ==
          "unread 2001:db8::1 > 2001:db8::2 frag later");
    CHECK_THAT(fault("tcp 192.0.2.1:1 > 192.0.2.2:2 malformed"),
               Catch::StartsWith("[192.0.2.1:1] no port can be seen"));
    CHECK_THAT(fault("tcp 192.0.2.1 > 192.0.2.2 malformed syn"), Catch::StartsWith("[syn] only"));
    CHECK_THAT(fault("gre 192.0.2.1 > 192.0.2.2 malformed"), Catch::StartsWith("[malformed] the"));
    CHECK_THAT(fault("tcp 192.0.2.1 > 192.0.2.2 frag first malformed"),
               Catch::StartsWith("[malformed] the"));
    CHECK_THAT(fault("unread 192.0.2.1 > 192.0.2.2"), Catch::StartsWith("[unread] only IPv6"));
    CHECK_THAT(fault("protocol 60 2001:db8::1 > 2001:db8::2"), Catch::StartsWith("[60] the"));
    CHECK_THAT(fault("icmp 192.0.2.1 > 192.0.2.2 malformed len 68"),
               Catch::EndsWith("at most 67 bytes"));
}

TEST_CASE("every packet is read as it is written")
{
    universe::Random random(7);
    std::size_t packets = 0;
    for (int round = 0; round < 60; ++round)
        for (auto p : universe::all_packets(universe::any_fields(random, 3))) {
            p.tcp_flags = p.transport() == Transport::tcp ? static_cast<std::uint8_t>(random()) : 0;
            std::sort(p.sets.begin(), p.sets.end());
            const auto text = text_of(p);
            auto read = parse_packet(text);
            INFO(text);
            REQUIRE(read);
            REQUIRE(*read == p);
            ++packets;
        }
    CHECK(packets > 100000);
}
