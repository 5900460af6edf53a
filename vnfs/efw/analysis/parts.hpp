// SPDX-License-Identifier: GPL-2.0-or-later
// The values that a match lists, each by itself.
#pragma once

#include <string>
#include <vector>

#include "vnfs/efw/analysis/space.hpp"

namespace evnf::efw::analysis
{

struct ListedValue {
    std::string text; // "dport 80"
    FieldId field;
    match::Match match; // the whole match, with this value alone
};

// Of all fields that list more than one and are not negated.
std::vector<ListedValue> listed_values(const match::Match &match);

} // namespace evnf::efw::analysis
