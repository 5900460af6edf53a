// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>

#include "base/result.hpp"

namespace evnf::elb
{

// The one line of a file that nobody but its owner, who is root or we, may read.
Result<std::string> read_secret(const std::string &path);

} // namespace evnf::elb
