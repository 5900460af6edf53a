// SPDX-License-Identifier: GPL-2.0-or-later
// A rule of the firewall: what people write, and what it means.
//
//   [priority N] MATCH accept|drop|slow [comment "text"]
//
// MATCH as in match/match.hpp; the priority may stand anywhere before the action.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "match/match.hpp"
#include "vnfs/efw/abi.h"

namespace evnf::efw
{

struct Rule {
    static constexpr unsigned default_priority = 100;
    static constexpr unsigned max_priority = 65535;
    static constexpr std::size_t max_comment = 128; // bytes, as in nft

    unsigned priority = default_priority; // the lower is met first
    match::Match match;
    efw_action action = EFW_DROP;
    std::string comment;

    friend bool operator==(const Rule &, const Rule &) = default;
};

// Errors carry offset and length of the word at fault within `text`.
Result<Rule> parse_rule(std::string_view text);

// The one way to write a rule: parse_rule(text_of(r)) is r.
std::string text_of(const Rule &rule);

std::string_view action_text(efw_action action);
std::optional<efw_action> parse_action(std::string_view word);

} // namespace evnf::efw
