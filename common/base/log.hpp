// SPDX-License-Identifier: GPL-2.0-or-later
// The daemon's log: lines on stderr, with the journal's level prefix (sd-daemon(3))
// when stderr is the journal.
#pragma once

#include <string>

namespace evnf
{

void log_info(const std::string &line);
void log_warning(const std::string &line);
void log_error(const std::string &line);

} // namespace evnf
