// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <string_view>

#include "base/fd.hpp"
#include "base/result.hpp"

namespace evnf
{

// Replaces a file as a whole: a crash leaves the old one or the new one.
Result<> replace_file(const std::string &path, std::string_view text);
Result<> write_all(const Fd &fd, std::string_view text);

} // namespace evnf
