// SPDX-License-Identifier: GPL-2.0-or-later
// Typed composition: whether the stages of the chains can work in their order.
#pragma once

#include <vector>

#include "daemon/graph.hpp"

namespace evnf
{

// Refuses chains that cannot do what they say, by what each VNF's Descriptor and rules
// declare. Errors carry `where` in the document.
Result<> check_composition(const std::vector<Chain> &chains,
                           const std::vector<Instance> &instances);
// The same of chains that could until now, for what is new in the section of one instance,
// which rewrites nothing. See instances_around().
Result<> check_part(const std::vector<Chain> &chains, const std::vector<Instance> &instances,
                    const std::string &changed);

// How deep the root must parse for the places that an entry's packets can come to.
Layer depth_needed(const Chain &chain, std::size_t first, const std::vector<Instance> &instances);

// The instance that a place is of.
const Instance &instance_of(const Chain &chain, const Place &place,
                            const std::vector<Instance> &instances);

} // namespace evnf
