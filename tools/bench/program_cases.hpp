// SPDX-License-Identifier: GPL-2.0-or-later
// The programs whose packets are measured, ours and others'.
#pragma once

#include "bench/cases.hpp"
#include "bench/peer.hpp"

namespace evnf::bench
{

// All for one kind of traffic.
Result<> add_program_cases(Cases &cases, const Traffic &traffic, const PeerOptions &peer);

// What a chain of two saves, for people.
std::string text_of_comparisons(const std::vector<Row> &rows);

} // namespace evnf::bench
