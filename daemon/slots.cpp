// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/slots.hpp"

#include <set>

namespace evnf
{

std::string root_place(const Chain &chain, const std::string &interface)
{
    return chain.name + "/root@" + interface;
}

std::string stage_place(const Chain &chain, const std::string &stage)
{
    return chain.name + "/" + stage;
}

std::string forward_place(const Chain &chain)
{
    return chain.name + "/forward";
}

Slots allot_slots(const std::vector<Chain> &chains, const Slots &before,
                  std::vector<unsigned> &fresh)
{
    std::vector<std::string> places;
    for (const auto &c : chains) {
        for (const auto &i : c.interfaces)
            places.push_back(root_place(c, i));
        for (const auto &s : c.stages)
            places.push_back(stage_place(c, s));
        places.push_back(forward_place(c));
    }
    Slots out;
    std::set<unsigned> taken;
    for (const auto &place : places)
        if (auto it = before.find(place); it != before.end()) {
            out[place] = it->second;
            taken.insert(it->second);
        }
    unsigned next = 1; // slot 0 means none
    for (const auto &place : places) {
        if (out.contains(place))
            continue;
        while (taken.contains(next))
            ++next;
        out[place] = next;
        taken.insert(next);
        fresh.push_back(next);
    }
    return out;
}

} // namespace evnf
