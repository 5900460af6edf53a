// SPDX-License-Identifier: GPL-2.0-or-later
// What the daemon makes of the chains that it was asked for.
#include <array>

#include "daemon/compose.hpp"
#include "daemon/daemon.hpp"

namespace evnf
{

namespace
{

// Net nanoseconds for one hot flow, by ./run bench on an AMD EPYC: to compare chains by,
// not to foretell.
constexpr unsigned root_ns = 9, send_ns = 60, end_ns = 3;

const char *depth_text(Layer depth)
{
    static constexpr std::array names{"link", "network", "transport", "quoted"};
    return names[static_cast<std::size_t>(depth)];
}

const char *exit_text(exit_kind kind)
{
    return kind == EXIT_TAP ? "tap" : kind == EXIT_XSK ? "xsk" : "stack";
}

unsigned estimate(const Plan &plan, const Place &place)
{
    switch (place.kind) {
    case Place::Kind::stage:
        return plan.is_idle(place) ? 0 : plan.instance(place.instance).type->descriptor.cost_ns;
    case Place::Kind::host:
    case Place::Kind::drop:
        return end_ns;
    default:
        return send_ns;
    }
}

json place_json(const Plan &plan, const Chain &chain, const Place &place)
{
    json out{{"place", place.name},
             {"slot", plan.slots.at(slot_place(chain, place))},
             {"estimate_ns", estimate(plan, place)},
             {"left_out", plan.is_idle(place)}};
    json next = json::object();
    if (place.kind == Place::Kind::stage) {
        const Instance &i = plan.instance(place.instance);
        out["vnf"] = i.type->name;
        out["exit"] = i.exit == EXIT_TAP ? "tap " + i.tap : std::string(exit_text(i.exit));
        for (const auto &o : outputs_of(*i.type))
            next[o.name] = chain.places[plan.met(chain, place.next[o.number])].name;
    }
    out["next"] = std::move(next);
    return out;
}

} // namespace

json Daemon::plan() const
{
    const Plan &plan = plane_->current()->plan();
    json out = json::array();
    for (const auto &chain : plan.chains) {
        json roots = json::array(), places = json::array();
        for (const auto &entry : chain.entries)
            roots.push_back(
                {{"place", "root@" + entry.interface},
                 {"parses", depth_text(depth_needed(chain, entry.first, plan.instances))},
                 {"next", chain.places[plan.met(chain, entry.first)].name},
                 {"estimate_ns", root_ns}});
        for (const auto &place : chain.places)
            places.push_back(place_json(plan, chain, place));
        out.push_back({{"name", chain.name},
                       {"asked", chain.path},
                       {"roots", std::move(roots)},
                       {"places", std::move(places)},
                       {"resumes", plan.resumes()}});
    }
    return out;
}

} // namespace evnf
