// SPDX-License-Identifier: GPL-2.0-or-later
// Elements of sets as text, and back.
#include <catch2/catch.hpp>

#include "vnfs/efw/set_element.hpp"

using namespace evnf;
using namespace evnf::efw;

namespace
{

// As it is written again, or why it is none.
std::string again(const std::string &text, SetType type)
{
    const auto e = parse_element(text, type);
    return e ? element_text(*e, type) : e.error().what;
}

} // namespace

TEST_CASE("an element is written as it was read")
{
    for (const auto *text : {"0.0.0.0/0", "192.0.2.0/24", "192.0.2.1", "255.255.255.255", "::/0",
                             "::", "2001:db8::/32", "2001:db8::1", "::ffff:0:0:0/96"})
        CHECK(again(text, SetType::addr) == text);
    for (const auto *text : {"0", "80", "65535"})
        CHECK(again(text, SetType::port) == text);
    for (const auto *text : {"192.0.2.1:80", "[2001:db8::1]:65535"})
        CHECK(again(text, SetType::addr_port) == text);
    CHECK(again("192.0.2.1/32", SetType::addr) == "192.0.2.1");
    CHECK(again("2001:DB8:0::1", SetType::addr) == "2001:db8::1");
}

TEST_CASE("what is no element is refused with the reason")
{
    CHECK(again("192.0.2.1/24", SetType::addr) ==
          "'192.0.2.1/24' has bits set after its prefix length: did you mean 192.0.2.0/24?");
    CHECK(again("::ffff:192.0.2.1", SetType::addr).find("not an address") != std::string::npos);
    for (const auto *text :
         {"", "192.0.2.256", "192.0.2.0/33", "2001:db8::/129", "host", "80 ", "192.0.2.1:80"})
        CHECK(again(text, SetType::addr) != text);
    for (const auto *text : {"", "65536", "-1", "80-90", "http"})
        CHECK(again(text, SetType::port) != text);
    for (const auto *text : {"", "192.0.2.1", "192.0.2.1:0", "2001:db8::1:80", "192.0.2.0/24:80"})
        CHECK(again(text, SetType::addr_port) != text);
}

TEST_CASE("an IPv4 prefix lies within the mapped addresses")
{
    const auto all = parse_element("0.0.0.0/0", SetType::addr);
    REQUIRE(all);
    CHECK(all->length == 96);
    const auto mapped = parse_element("::/96", SetType::addr); // of IPv6, and another
    REQUIRE(mapped);
    CHECK_FALSE(ElementSame()(*all, *mapped));
}
