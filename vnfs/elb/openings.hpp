// SPDX-License-Identifier: GPL-2.0-or-later
// The table of connections that are opening (openings.h), as the daemon makes and changes it.
#pragma once

#include "base/bpf.hpp"
#include "vnfs/elb/abi.h"

namespace evnf::elb
{

using OpeningSets = bpf::Map<__u32, elb_opening_set>;

// Before the fast path is loaded: the table's size, for as many established connections.
void set_openings(bpf::MapSet &maps, __u32 connections);

// Enters what the table does not have and has room for. Not while packets do.
Result<> enter_opening(OpeningSets to, const flow_key &key, const elb_opening &opening);

// All of one to one of another size; see bpf::MapSet.
Result<> carry_openings(int from, int to);

} // namespace evnf::elb
