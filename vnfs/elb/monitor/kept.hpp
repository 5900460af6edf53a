// SPDX-License-Identifier: GPL-2.0-or-later
// What a monitor knows, as text and back: times become those of the calendar.
#pragma once

#include "vnfs/elb/monitor/monitor.hpp"

namespace evnf::elb
{

using States = std::map<BackendKey, BackendState>;
using Calendar = std::chrono::system_clock::time_point;

std::string kept_text(const States &states, Time now, Calendar today);
// `where` is for the error.
Result<States> read_kept(const std::string &text, Time now, Calendar today,
                         const std::string &where);

} // namespace evnf::elb
