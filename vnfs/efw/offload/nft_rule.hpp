// SPDX-License-Identifier: GPL-2.0-or-later
// One rule of nftables: its expressions become steps.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "vnfs/efw/offload/nft_values.hpp"

namespace evnf::efw::offload
{

// The named sets and maps of a table whose elements change by commands alone.
using NftSets = std::map<std::string, json>;

struct NftRule {
    std::vector<Step> steps;
    std::vector<std::size_t> from; // of each step: the expression that it comes from
};

// What is not known makes an unknown step or an effect, never an error.
NftRule read_nft_rule(const json &expressions, const NftSets &sets, Family family);

} // namespace evnf::efw::offload
