// SPDX-License-Identifier: GPL-2.0-or-later
// Packets of each rule of netfilter, wherever they were counted.
#pragma once

#include <nlohmann/json.hpp>

#include "vnfs/efw/offload/plan.hpp"
#include "vnfs/efw/offload_totals.hpp"

namespace evnf::efw
{

// Each rule as it is live: with its state in the plan, if there is one, what the fast path
// has decided for it, what netfilter has counted, and the sum; or why that cannot be told.
nlohmann::json offload_account(const std::vector<offload::Origin> &live, const offload::Plan *plan,
                               const OffloadTotals::Totals &totals);

} // namespace evnf::efw
