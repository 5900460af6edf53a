// SPDX-License-Identifier: GPL-2.0-or-later
// What becomes of one packet, and by which rules.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "vnfs/efw/packet.hpp"
#include "vnfs/efw/rule.hpp"

namespace evnf::efw
{

// Rules are named by their places in the order of evaluation; the default is the one after
// the last.
struct Decision {
    unsigned reason = 0;                    // enum chain_reason or efw_reason
    std::optional<std::uint32_t> rule;      // that decides; none if no rule was to decide
    std::optional<std::uint32_t> offloaded; // a decision of the offload's plan: that one decides
    std::vector<std::uint32_t> counted;     // before it
    std::vector<std::uint32_t> limits;      // whose limit was asked, that of `rule` too

    friend bool operator==(const Decision &, const Decision &) = default;
};

// The decision as efw.bpf.c would take it, without it. Each limit has all its tokens.
Decision evaluate(const std::vector<Rule> &rules, efw_action otherwise, const Packet &packet);

} // namespace evnf::efw
