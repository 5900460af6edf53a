// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/offload/plan.hpp"

namespace evnf::efw::offload
{

namespace
{

const char *family_text(Family family)
{
    static constexpr const char *names[] = {"ip", "ip6", "inet", "netdev", "arp", "bridge"};
    return names[static_cast<int>(family)];
}

const char *state_text(Origin::State state)
{
    static constexpr const char *names[] = {"not seen", "offloaded", "in part", "followed",
                                            "not offloaded"};
    return names[static_cast<int>(state)];
}

} // namespace

nlohmann::json conditions_json(std::uint8_t conditions)
{
    nlohmann::json out = nlohmann::json::array();
    if (conditions & EFW_WITHOUT_CONNTRACK)
        out.push_back("only packets of no tracked connection");
    if (conditions & EFW_RIGHT_CHECKSUM)
        out.push_back("only packets with a right checksum");
    if (conditions & EFW_FORWARDED)
        out.push_back("only packets that have a route to another interface");
    if (conditions & (EFW_SOURCE_ROUTED | EFW_SOURCE_ROUTED_BACK))
        out.push_back("only packets whose source passes rp_filter");
    return out;
}

nlohmann::json origin_json(const Origin &o)
{
    nlohmann::json out{{"family", family_text(o.family)},
                       {"table", o.table},
                       {"chain", o.chain},
                       {"rule", o.text}};
    if (o.number)
        out["number"] = o.number;
    if (o.handle)
        out["handle"] = o.handle;
    return out;
}

nlohmann::json report(const Origin &o)
{
    nlohmann::json rule = origin_json(o);
    rule["state"] = state_text(o.state);
    if (o.decisions)
        rule["decisions"] = o.decisions;
    if (o.conditions)
        rule["conditions"] = conditions_json(o.conditions);
    if (!o.causes.empty())
        rule["because"] = o.causes;
    return rule;
}

nlohmann::json summary(const Plan &plan)
{
    std::size_t counts[5] = {}, drops = 0, accepts = 0;
    for (const auto &o : plan.origins)
        ++counts[static_cast<int>(o.state)];
    for (const auto &d : plan.decisions) {
        drops += d.rule.action == EFW_DROP;
        accepts += d.rule.action == EFW_ACCEPT;
    }
    return {{"complete", plan.complete},
            {"decisions", plan.decisions.size()},
            {"drop", drops},
            {"accept", accepts},
            {"offloaded", counts[1]},
            {"in_part", counts[2]},
            {"followed", counts[3]},
            {"not_offloaded", counts[4]},
            {"not_seen", counts[0]},
            {"causes", plan.causes}};
}

nlohmann::json report(const Plan &plan)
{
    nlohmann::json out = summary(plan);
    out["rules"] = nlohmann::json::array();
    for (const auto &o : plan.origins)
        out["rules"].push_back(report(o));
    return out;
}

} // namespace evnf::efw::offload
