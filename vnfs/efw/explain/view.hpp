// SPDX-License-Identifier: GPL-2.0-or-later
// A decision about a packet, as JSON.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "vnfs/efw/explain/decision.hpp"

namespace evnf::efw
{

// What rules are called: {"id": 7}, or {"place": "rules.txt:4"}.
struct Rules {
    struct Known {
        nlohmann::json name;
        Rule rule;
    };
    std::vector<Known> rules; // in order of evaluation
    efw_action otherwise = EFW_SLOW;
    nlohmann::json default_name = nlohmann::json::object();
};

// `packet` as it was decided about, if it met the rules and can be written.
nlohmann::json explained(const Decision &decision, const Rules &rules,
                         const std::optional<Packet> &packet);

} // namespace evnf::efw
