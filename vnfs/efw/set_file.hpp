// SPDX-License-Identifier: GPL-2.0-or-later
// Files of elements: one on each line; what follows a # is a comment.
#pragma once

#include <string>
#include <vector>

#include "vnfs/efw/set_element.hpp"

namespace evnf::efw
{

// Of a path, "-" for the standard input. Errors are FILE:LINE:COLUMN.
Result<std::vector<match_set_element>> read_set_file(const std::string &path, SetType type);
std::string set_file_text(const std::vector<match_set_element> &elements, SetType type);

} // namespace evnf::efw
