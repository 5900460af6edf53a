// SPDX-License-Identifier: GPL-2.0-or-later
// A flow as JSON, in the words of its records.
#pragma once

#include <nlohmann/json.hpp>

#include "vnfs/edpi/table.hpp"

namespace evnf::edpi
{

// From the end that spoke first; "…_back" is what the other has sent. `counts` is what the
// record is to account for.
nlohmann::json flow_json(std::uint32_t slot, const edpi_key &key, const edpi_flow &flow,
                         const Counts &counts);
nlohmann::json unaccounted_json(const counter &c);

// By CLOCK_MONOTONIC_COARSE, as the fast path has it.
std::uint64_t now_ns();

} // namespace evnf::edpi
