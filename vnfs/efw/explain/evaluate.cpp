// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/explain/decision.hpp"
#include "vnfs/efw/explain/look.hpp"

namespace evnf::efw
{

namespace
{

unsigned reason_of(efw_action action, bool is_default)
{
    switch (action) {
    case EFW_ACCEPT:
        return is_default ? unsigned{EFW_NEXT_DEFAULT} : unsigned{NEXT};
    case EFW_SLOW:
        return is_default ? EFW_SLOW_DEFAULT : EFW_SLOW_RULE;
    case EFW_REJECT:
        return EFW_DROP_REJECT;
    case EFW_DROP:
    case EFW_COUNT:
        break;
    }
    return is_default ? EFW_DROP_DEFAULT : EFW_DROP_RULE;
}

} // namespace

Decision evaluate(const std::vector<Rule> &rules, efw_action otherwise, const Packet &packet)
{
    Decision out;
    unsigned steps = 0;
    for (std::uint32_t i = 0; i <= rules.size(); ++i) {
        const bool is_default = i == rules.size();
        const Seen seen = is_default ? Seen::yes : look(rules[i].match, packet);
        if (seen == Seen::no)
            continue;
        if (steps++ == EFW_MAX_STEPS) {
            out.reason = EFW_SLOW_STEPS;
            return out;
        }
        if (seen == Seen::unseen) {
            out.reason = packet.fragment != PKT_FRAG_NONE ? SLOW_FRAGMENT : SLOW_L4_UNKNOWN;
            out.rule = i;
            return out;
        }
        if (!is_default && rules[i].limit) {
            out.limits.push_back(i);
            if (rules[i].limit->over)
                continue;
        }
        if (!is_default && rules[i].action == EFW_COUNT) {
            out.counted.push_back(i);
            continue;
        }
        out.reason = reason_of(is_default ? otherwise : rules[i].action, is_default);
        out.rule = i;
        return out;
    }
    return out;
}

} // namespace evnf::efw
