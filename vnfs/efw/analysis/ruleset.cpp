// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/analysis/ruleset.hpp"

#include <algorithm>

namespace evnf::efw::analysis
{

Effect effect_of(const Rule &rule)
{
    return rule.action == EFW_COUNT ? Effect::none : rule.limit ? Effect::may : Effect::decides;
}

Boxes::Boxes(const Ruleset &ruleset, const Space &space)
    : rules_(&ruleset.rules),
      otherwise_(ruleset.otherwise)
{
    for (std::size_t w = 0; w < worlds; ++w) {
        std::vector<Item> items;
        for (std::uint32_t i = 0; i < size(); ++i)
            if (auto box = space.box(ruleset.rules[i].match, w)) {
                const bool unseen = space.unseen(ruleset.rules[i].match, w);
                items.push_back({i, std::move(*box), unseen ? Effect::decides : effect(i),
                                 unseen ? EFW_SLOW : action(i), unseen});
            }
        items.push_back({size(), {}, Effect::decides, otherwise_, false});
        layers_.emplace_back(std::move(items));
    }
}

Effect Boxes::effect(std::uint32_t rule) const
{
    return rule == size() ? Effect::decides : effect_of((*rules_)[rule]);
}

efw_action Boxes::action(std::uint32_t rule) const
{
    return rule == size() ? otherwise_ : (*rules_)[rule].action;
}

std::vector<const Item *> Boxes::deciding(std::size_t world, const Box &box, std::uint32_t begin,
                                          std::uint32_t end) const
{
    auto out = layers_[world].meeting(box, begin, end);
    std::erase_if(out, [&](const Item *i) { return i->effect != Effect::decides; });
    return out;
}

} // namespace evnf::efw::analysis
