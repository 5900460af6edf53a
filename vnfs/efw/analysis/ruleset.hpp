// SPDX-License-Identifier: GPL-2.0-or-later
// A ruleset to be analysed: rules in order of evaluation, the default behind them.
#pragma once

#include <optional>
#include <vector>

#include "vnfs/efw/analysis/index.hpp"

namespace evnf::efw::analysis
{

struct Ruleset {
    std::vector<Rule> rules; // in order of evaluation
    efw_action otherwise = EFW_SLOW;
};

// To packets that show what it asks for.
Effect effect_of(const Rule &rule);

// A ruleset as boxes, in each world. The default is the rule after the last.
class Boxes
{
public:
    Boxes(const Ruleset &ruleset, const Space &space);

    [[nodiscard]] std::uint32_t size() const { return static_cast<std::uint32_t>(rules_->size()); }
    // As the rule says it, see also Item.
    [[nodiscard]] Effect effect(std::uint32_t rule) const;
    [[nodiscard]] efw_action action(std::uint32_t rule) const;
    [[nodiscard]] const Layer &layer(std::size_t world) const { return layers_[world]; }
    [[nodiscard]] const Item *of(std::uint32_t rule, std::size_t world) const
    {
        return layers_[world].of(rule);
    }
    // Those that decide about packets of the box, with begin <= rule < end, in order.
    [[nodiscard]] std::vector<const Item *> deciding(std::size_t world, const Box &box,
                                                     std::uint32_t begin, std::uint32_t end) const;

private:
    const std::vector<Rule> *rules_;
    efw_action otherwise_;
    std::vector<Layer> layers_;
};

} // namespace evnf::efw::analysis
