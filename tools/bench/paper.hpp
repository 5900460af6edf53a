// SPDX-License-Identifier: GPL-2.0-or-later
// The classifier of the eVNF paper, to be measured beside edpi.
#pragma once

#include <memory>

#include "bench/program.hpp"
#include "bench/traffic.hpp"

namespace evnf::bench
{

// It knows all flows of the traffic. None for IPv6, and for more flows than it has room for.
Result<std::unique_ptr<Program>> paper_classifier(const Traffic &traffic);

} // namespace evnf::bench
