// SPDX-License-Identifier: GPL-2.0-or-later
// One element of a named set: what people write, and what the fast path looks up.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "abi/match.h"
#include "base/net.hpp"
#include "base/result.hpp"

namespace evnf::efw
{

enum class SetType {
    addr,      // addresses and prefixes of both families
    port,      // ports
    addr_port, // an address with a port, such as 192.0.2.1:80
};
std::string_view set_type_text(SetType type);
std::optional<SetType> parse_set_type(std::string_view text);

// Of no set yet: the number is put in later.
match_set_element element_of(const Prefix &prefix);
match_set_element element_of(const Endpoint &endpoint);
match_set_element element_of_port(std::uint16_t port);

Result<match_set_element> parse_element(std::string_view text, SetType type);
// parse_element(element_text(e, type), type) is e.
std::string element_text(const match_set_element &element, SetType type);

// The order of elements: by set, address, shorter prefixes first, then by port.
struct ElementBefore {
    bool operator()(const match_set_element &a, const match_set_element &b) const;
};
struct ElementSame {
    bool operator()(const match_set_element &a, const match_set_element &b) const;
};

} // namespace evnf::efw
