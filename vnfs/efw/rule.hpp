// SPDX-License-Identifier: GPL-2.0-or-later
// A rule of the firewall: what people write, and what it means.
//
//   [priority N] MATCH [limit rate [over] N/UNIT [burst N] [per saddr]] [log [sample N]]
//     accept|drop|slow|reject|count [name "text"] [comment "text"]
//
// MATCH as in match/match.hpp; the priority may stand anywhere before the action. UNIT is
// second, minute, hour or day.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "match/match.hpp"
#include "vnfs/efw/abi.h"

namespace evnf::efw
{

// A token bucket, as nft's: it holds `burst` packets and is filled with `packets` in each
// `seconds`. A packet that finds no token does not match the rule; with `over` none other
// does.
struct Limit {
    std::uint32_t packets = 0;
    std::uint32_t seconds = 1;
    std::uint32_t burst = 5;
    bool over = false;
    bool per_source = false; // a bucket for each source address

    friend bool operator==(const Limit &, const Limit &) = default;
};

struct Rule {
    static constexpr unsigned default_priority = 100;
    static constexpr unsigned max_priority = 65535;
    static constexpr std::size_t max_comment = 128; // bytes, as in nft; of a name too

    unsigned priority = default_priority; // the lower is met first
    match::Match match;
    std::optional<Limit> limit;
    unsigned log_sample = 0; // logs one in so many packets; 0: none
    efw_action action = EFW_DROP;
    std::string name; // as logs and counters show it
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
