// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>

#include "bench/cases.hpp"

namespace evnf::bench
{

// What was measured, what follows from it, and where it was measured.
json report_of(const std::vector<Case> &cases);
// The same for people.
std::string text_of(const json &report);

} // namespace evnf::bench
