// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/explain/view.hpp"

#include <array>
#include <string_view>

#include "abi/chain.h"
#include "vnfs/efw/explain/fields.hpp"
#include "vnfs/efw/explain/look.hpp"

namespace evnf::efw
{

namespace
{

using nlohmann::json;

struct KnownReason {
    unsigned value;
    std::string_view name, help;
};
#define KNOWN_REASON(id, value, text, help) KnownReason{value, text, help},
constexpr std::array known_reasons{CHAIN_REASONS(KNOWN_REASON) EFW_REASONS(KNOWN_REASON)};
#undef KNOWN_REASON

const KnownReason &known(unsigned reason)
{
    for (const auto &r : known_reasons)
        if (r.value == reason)
            return r;
    return known_reasons[NEXT];
}

std::string_view verdict_text(unsigned reason)
{
    switch (reason & VERDICT_MASK) {
    case VERDICT_NEXT:
        return "next";
    case VERDICT_SLOW:
        return "slow";
    default:
        return "drop";
    }
}

json rule_json(const Rules &rules, std::uint32_t i)
{
    if (i == rules.rules.size()) {
        json out = rules.default_name;
        out["rule"] = "default " + std::string(action_text(rules.otherwise));
        return out;
    }
    const auto &[name, rule] = rules.rules[i];
    json out = name;
    out["rule"] = text_of(rule);
    if (!rule.name.empty())
        out["name"] = rule.name;
    return out;
}

json rules_json(const Rules &rules, const std::vector<std::uint32_t> &which)
{
    json out = json::array();
    for (const auto i : which)
        out.push_back(rule_json(rules, i));
    return out;
}

} // namespace

json explained(const Decision &decision, const Rules &rules, const std::optional<Packet> &packet)
{
    const auto &reason = known(decision.reason);
    json out{{"verdict", verdict_text(decision.reason)},
             {"reason", reason.name},
             {"help", reason.help},
             {"counted", rules_json(rules, decision.counted)},
             {"limits", rules_json(rules, decision.limits)},
             {"fields", json::array()}};
    if (packet)
        out["packet"] = text_of(*packet);
    if (!decision.rule)
        return out;
    out["decided_by"] = rule_json(rules, *decision.rule);
    out["default"] = *decision.rule == rules.rules.size();
    if (packet && !out["default"])
        out["fields"] = asked_fields(rules.rules[*decision.rule].rule.match, *packet);
    return out;
}

} // namespace evnf::efw
