// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/offload/plan.hpp"

#include "vnfs/efw/offload/evaluate.hpp"

namespace evnf::efw::offload
{

namespace
{

constexpr std::chrono::seconds time_to_plan(2);

Origin::State state_of(const Origin &o)
{
    if (o.decisions == 0)
        return o.state == Origin::State::left && o.causes.empty() ? Origin::State::followed
                                                                  : o.state;
    return o.causes.empty() && o.conditions == 0 ? Origin::State::offloaded
                                                 : Origin::State::in_part;
}

} // namespace

Plan plan(const Ruleset &rules, const Host &host)
{
    Plan out;
    Origins origins;
    Course courses[2] = {{.family = 4}, {.family = 6}};
    for (auto &course : courses)
        chart(course, rules, host, origins);
    // The kernel counts connections of both families together: rules of one that ask for
    // them are soon as good as Host::conntrack for the other.
    for (const auto &course : courses)
        out.tracks = out.tracks || course.conntrack;
    for (auto &course : courses)
        course.conntrack = out.tracks;
    out.origins = std::move(origins.list);
    const auto deadline = std::chrono::steady_clock::now() + time_to_plan;
    for (const auto &course : courses)
        Evaluation(course, rules, host, out).run(deadline);
    // Slow is what the rest is anyway.
    while (!out.decisions.empty() && out.decisions.back().rule.action == EFW_SLOW)
        out.decisions.pop_back();
    for (auto &o : out.origins)
        o.state = state_of(o);
    return out;
}

} // namespace evnf::efw::offload
