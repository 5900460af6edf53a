// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "tools/preflight/judge.hpp"

namespace evnf::preflight
{

struct Mended {
    Command command;
    std::string error; // empty: it was done
};

// Runs the commands of findings that are safe, in their order; of a finding no more once one has
// failed.
std::vector<Mended> mend(const std::vector<Finding> &findings);

} // namespace evnf::preflight
