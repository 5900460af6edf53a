// SPDX-License-Identifier: GPL-2.0-or-later
// What the rules of a set do to each other, by a look at every packet there is: the plain model
// of vnfs/efw/analysis.
#pragma once

#include <algorithm>
#include <vector>

#include "support/efw_universe.hpp"
#include "vnfs/efw/analysis/lint.hpp"

namespace evnf::test
{

using namespace evnf::efw;
using namespace evnf::efw::analysis;

using Packets = std::vector<Packet>;

// A ruleset, and what becomes of every packet.
struct Case {
    Ruleset ruleset;
    Packets packets;
    std::vector<std::vector<std::size_t>> meant; // by packet: the rules that mean it
    std::vector<std::vector<bool>> unseen;       // … by rule: whether it asks for what is hidden
    std::vector<bool> shown;                     // by rule: some packet shows what it asks for

    Case(Ruleset r, Packets p) : ruleset(std::move(r)), packets(std::move(p))
    {
        shown.resize(ruleset.rules.size());
        for (const auto &packet : packets) {
            meant.emplace_back();
            unseen.emplace_back(ruleset.rules.size() + 1);
            for (std::size_t i = 0; i < ruleset.rules.size(); ++i) {
                const auto seen = universe::look(ruleset.rules[i].match, packet);
                if (seen != universe::Seen::no)
                    meant.back().push_back(i);
                unseen.back()[i] = seen == universe::Seen::unseen;
                shown[i] = shown[i] || seen == universe::Seen::yes;
            }
        }
        std::vector<bool> left_out(ruleset.rules.size());
        for (std::size_t i = 0; i < ruleset.rules.size(); ++i) {
            reaches.push_back(reach(i, left_out));
            left_out[i] = reaches.back() != Reach::reached;
        }
    }

    bool decides(std::size_t rule, std::size_t packet) const
    {
        return unseen[packet][rule] || effect_of(ruleset.rules[rule]) == Effect::decides;
    }
    efw_action action(std::size_t rule, std::size_t packet) const
    {
        return unseen[packet][rule]           ? EFW_SLOW
               : rule == ruleset.rules.size() ? ruleset.otherwise
                                              : ruleset.rules[rule].action;
    }
    // Whether the packet is of those that the rule is there for.
    bool wanted(std::size_t rule, std::size_t packet) const
    {
        return !shown[rule] || !unseen[packet][rule];
    }
    // The rule that decides about a packet.
    std::size_t decider(std::size_t packet) const
    {
        for (const auto i : meant[packet])
            if (decides(i, packet))
                return i;
        return ruleset.rules.size();
    }
    bool is_meant(std::size_t rule, std::size_t packet) const
    {
        return std::find(meant[packet].begin(), meant[packet].end(), rule) != meant[packet].end();
    }

    // Why no packet reaches a rule, if none does. `left_out`: earlier ones of which the
    // same is known.
    enum class Reach { never, repeated, shadowed, reached };
    Reach reach(std::size_t rule, const std::vector<bool> &left_out) const
    {
        bool any = false, alike = false, covered = true;
        for (std::size_t p = 0; p < packets.size(); ++p) {
            if (!is_meant(rule, p))
                continue;
            any = true;
            const auto d = decider(p);
            if (d >= rule)
                return Reach::reached;
            if (!wanted(rule, p))
                continue;
            alike = alike || action(d, p) == action(rule, p);
            covered = covered && decides(rule, p) &&
                      std::any_of(meant[p].begin(), meant[p].end(), [&](std::size_t r) {
                          return r < rule && decides(r, p) && !left_out[r] &&
                                 action(r, p) == action(rule, p);
                      });
        }
        return !any ? Reach::never : alike && covered ? Reach::repeated : Reach::shadowed;
    }
    std::vector<Reach> reaches; // by rule

    // Whether others mean all that the rule means; of a repeated rule, that it is there for.
    bool covered(std::size_t rule, const std::vector<std::uint32_t> &by, std::size_t but) const
    {
        const bool repeated = reaches[rule] == Reach::repeated;
        for (std::size_t p = 0; p < packets.size(); ++p)
            if (is_meant(rule, p) && (!repeated || wanted(rule, p)) &&
                std::none_of(by.begin(), by.end(), [&](std::uint32_t b) {
                    return b != but && is_meant(b, p) && decides(b, p);
                }))
                return false;
        return true;
    }
    bool within(std::size_t inner, std::size_t outer) const
    {
        for (std::size_t p = 0; p < packets.size(); ++p)
            if (is_meant(inner, p) && !is_meant(outer, p))
                return false;
        return true;
    }
};

} // namespace evnf::test
