// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/slots.hpp"

#include <set>

namespace evnf
{

std::string root_place(const Chain &chain, const std::string &interface)
{
    return chain.name + "/root@" + interface;
}

std::string slot_place(const Chain &chain, const Place &place)
{
    return chain.name + "/" + place.name;
}

Slots allot_slots(const std::vector<Chain> &chains, const Slots &before,
                  std::vector<unsigned> &fresh)
{
    std::vector<std::string> places;
    for (const auto &c : chains) {
        for (const auto &e : c.entries)
            places.push_back(root_place(c, e.interface));
        for (const auto &p : c.places)
            places.push_back(slot_place(c, p));
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
