// SPDX-License-Identifier: GPL-2.0-or-later
// Where in a listing of nft its items and their expressions stand: JSON as read does not tell.
#pragma once

#include <string_view>
#include <vector>

#include "vnfs/efw/offload/ruleset.hpp"

namespace evnf::efw::offload
{

struct NftItem {
    Place place;
    std::vector<Place> expressions; // if it is a rule
};

// Of good JSON: {"nftables": [ITEM, …]}.
std::vector<NftItem> nft_places(std::string_view text);

} // namespace evnf::efw::offload
