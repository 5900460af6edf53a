// SPDX-License-Identifier: GPL-2.0-or-later
// Files of rules: one on each line. What follows a # outside of quotes is a comment.
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"

namespace evnf::efw
{

struct FileRule {
    std::size_t line; // from 1 on
    std::string text; // the line up to its comment
};

Result<std::vector<FileRule>> read_rule_file(const std::string &path);

// An error in that rule, as FILE:LINE:COLUMN.
Error in_file(const std::string &path, const FileRule &rule, Error error);

} // namespace evnf::efw
