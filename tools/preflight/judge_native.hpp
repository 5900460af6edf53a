// SPDX-License-Identifier: GPL-2.0-or-later
// Of an interface that is there: whether its driver takes an XDP program, and what it asks for.
#pragma once

#include "tools/preflight/driver.hpp"
#include "tools/preflight/judge.hpp"

namespace evnf::preflight
{

void judge_xdp(const Interface &i, const Wanted &w, const Host &h, std::vector<Finding> &out);
// Whether frames that XDP sends out of it arrive.
void judge_sending(const Interface &i, const Wanted &w, std::vector<Finding> &out);

// The most queues to receive by that are of use; `i` has channels.
unsigned most_queues(const Interface &i, const Host &h);
// Whether packets go on while the number of queues changes.
bool queues_change_safely(const Interface &i);

} // namespace evnf::preflight
