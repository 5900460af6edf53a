// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/set_element.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <tuple>

#include "base/text.hpp"

namespace evnf::efw
{

namespace
{

struct TypeName {
    SetType type;
    std::string_view name;
};
constexpr std::array types{
    TypeName{SetType::addr, "addr"},
    TypeName{SetType::port, "port"},
    TypeName{SetType::addr_port, "addr_port"},
};

constexpr unsigned v4_bits = 96; // of ::ffff:0:0/96, before those of an IPv4 prefix

auto order(const match_set_element &e)
{
    return std::tuple(e.set, Address(e.addr), e.length, ntohs(e.port));
}

} // namespace

std::string_view set_type_text(SetType type)
{
    return std::find_if(types.begin(), types.end(),
                        [&](const TypeName &t) { return t.type == type; })
        ->name;
}

std::optional<SetType> parse_set_type(std::string_view text)
{
    const auto it =
        std::find_if(types.begin(), types.end(), [&](const TypeName &t) { return t.name == text; });
    return it == types.end() ? std::nullopt : std::optional(it->type);
}

match_set_element element_of(const Prefix &prefix)
{
    match_set_element e{};
    e.addr = prefix.address.raw();
    e.length = static_cast<__u8>(prefix.length + (prefix.address.is_v4() ? v4_bits : 0));
    return e;
}

match_set_element element_of(const Endpoint &endpoint)
{
    match_set_element e{};
    e.addr = endpoint.address.raw();
    e.length = 128;
    e.port = htons(endpoint.port);
    return e;
}

match_set_element element_of_port(std::uint16_t port)
{
    match_set_element e{};
    e.port = htons(port);
    return e;
}

Result<match_set_element> parse_element(std::string_view text, SetType type)
{
    if (type == SetType::addr) {
        auto prefix = Prefix::parse(text);
        return prefix ? Result(element_of(*prefix)) : prefix.error();
    }
    if (type == SetType::addr_port) {
        auto endpoint = Endpoint::parse(text);
        return endpoint ? Result(element_of(*endpoint)) : endpoint.error();
    }
    auto port = parse_number(text, 0, 65535, "port");
    return port ? Result(element_of_port(static_cast<std::uint16_t>(*port))) : port.error();
}

std::string element_text(const match_set_element &e, SetType type)
{
    const Address address(e.addr);
    switch (type) {
    case SetType::addr:
        return Prefix{address, e.length - (address.is_v4() ? v4_bits : 0)}.text();
    case SetType::addr_port:
        return Endpoint{address, ntohs(e.port)}.text();
    case SetType::port:
        break;
    }
    return std::to_string(ntohs(e.port));
}

bool ElementBefore::operator()(const match_set_element &a, const match_set_element &b) const
{
    return order(a) < order(b);
}

bool ElementSame::operator()(const match_set_element &a, const match_set_element &b) const
{
    return order(a) == order(b);
}

} // namespace evnf::efw
