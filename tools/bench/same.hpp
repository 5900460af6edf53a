// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "base/result.hpp"

namespace evnf::bench
{

// Whether the chain in one program (linked.bpf.c) does to random frames what the chain of
// tail calls does: verdicts, bytes, counters.
Result<> check_linked(unsigned frames);

} // namespace evnf::bench
