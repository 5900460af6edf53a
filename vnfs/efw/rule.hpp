// SPDX-License-Identifier: GPL-2.0-or-later
// A rule of the firewall: what people write, in nft's words, and what it means.
//
//   [priority N] [ip|ip6] [ip saddr PREFIX] [ip daddr PREFIX]
//   [protocol P | tcp | udp | sctp | icmp | icmpv6] [sport P|P-P] [dport P|P-P]
//   accept|drop|slow [comment "text"]
//
// What comes before the action may come in any order, but for ports, which need
// their protocol before them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/net.hpp"
#include "base/result.hpp"
#include "vnfs/efw/abi.h"

namespace evnf::efw
{

struct PortRange {
    std::uint16_t low = 0;
    std::uint16_t high = 0; // included
    friend bool operator==(const PortRange &, const PortRange &) = default;
};

struct Rule {
    static constexpr unsigned default_priority = 100;
    static constexpr unsigned max_priority = 65535;
    static constexpr std::size_t max_comment = 128; // bytes, as in nft

    unsigned priority = default_priority; // the lower is met first
    int family = 0;                       // 4, 6, or 0 for both
    std::optional<Prefix> src, dst;
    std::optional<std::uint8_t> protocol;
    std::optional<PortRange> sport, dport;
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
