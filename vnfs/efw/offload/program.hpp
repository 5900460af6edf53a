// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"

namespace evnf::efw::offload
{

// What a program prints, once it has ended well. The error has ENOENT for one that is not
// installed, ETIMEDOUT for one that was stopped after 10 seconds.
Result<std::string> run_program(const std::vector<std::string> &words);

} // namespace evnf::efw::offload
