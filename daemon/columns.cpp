// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/columns.hpp"

#include <algorithm>
#include <set>

#include "abi/match.h"

namespace evnf
{

namespace
{

std::vector<std::set<std::string>> rule_stages(const std::vector<Chain> &chains,
                                               const std::vector<Instance> &instances)
{
    std::vector<std::set<std::string>> out;
    for (const auto &chain : chains) {
        out.emplace_back();
        for (const auto &place : chain.places)
            for (const auto &i : instances)
                if (place.kind == Place::Kind::stage && i.name == place.instance &&
                    i.type->descriptor.has_rules)
                    out.back().insert(i.name);
    }
    return out;
}

} // namespace

std::map<std::string, unsigned> match_columns(const std::vector<Chain> &chains,
                                              const std::vector<Instance> &instances)
{
    std::map<std::string, unsigned> out;
    const auto stages = rule_stages(chains, instances);
    for (const auto &i : instances) {
        if (!i.type->descriptor.has_rules)
            continue;
        std::set<unsigned> taken;
        for (const auto &chain : stages)
            if (chain.contains(i.name))
                for (const auto &other : chain)
                    if (const auto it = out.find(other); it != out.end())
                        taken.insert(it->second);
        unsigned column = 0;
        while (column < MATCH_ANSWERS && taken.contains(column))
            ++column;
        out[i.name] = column;
    }
    return out;
}

} // namespace evnf
