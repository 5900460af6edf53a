// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/net.hpp"

#include <catch2/catch.hpp>

using namespace evnf;

TEST_CASE("addresses, prefixes and endpoints read back what they write")
{
    for (const auto *text : {"192.0.2.1", "0.0.0.0", "2001:db8::1", "::"})
        CHECK(Address::parse(text)->text() == text);
    for (const auto *text : {"192.0.2.0/24", "0.0.0.0/0", "2001:db8::/32", "::/0", "192.0.2.7"})
        CHECK(Prefix::parse(text)->text() == text);
    for (const auto *text : {"192.0.2.1:80", "[2001:db8::1]:65535"})
        CHECK(Endpoint::parse(text)->text() == text);
    CHECK(Prefix::parse("192.0.2.7/32")->text() == "192.0.2.7");
}

TEST_CASE("what is wrong is named, with what was probably meant")
{
    CHECK(Prefix::parse("10.0.0.1/8").error().what ==
          "'10.0.0.1/8' has bits set after its prefix length: did you mean 10.0.0.0/8?");
    CHECK(Address::parse("::ffff:1.2.3.4").error().what ==
          "'::ffff:1.2.3.4' is an IPv4-mapped address: write 1.2.3.4");
    for (const auto *text : {"10.0.0.0/33", "10.0.0/8", "x", "", "10.0.0.0/", "2001:db8::/129"})
        CHECK_FALSE(Prefix::parse(text));
    for (const auto *text : {"10.0.0.1", "10.0.0.1:0", "10.0.0.1:65536", "[10.0.0.1]:80",
                             "2001:db8::1:80", "[2001:db8::1]", ":80"})
        CHECK_FALSE(Endpoint::parse(text));
}

TEST_CASE("a prefix holds the addresses that share its bits, of its own family")
{
    const Prefix p = *Prefix::parse("10.1.0.0/17");
    CHECK(p.contains(*Address::parse("10.1.127.255")));
    CHECK_FALSE(p.contains(*Address::parse("10.1.128.0")));
    CHECK_FALSE(Prefix::parse("::/0")->contains(*Address::parse("10.0.0.1")));
    CHECK_FALSE(Prefix::parse("0.0.0.0/0")->contains(*Address::parse("2001:db8::1")));
}
