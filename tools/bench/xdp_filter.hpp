// SPDX-License-Identifier: GPL-2.0-or-later
// The firewall of xdp-tools, with all of its features and full tables: what it takes to
// decide about the same packet in another way.
#pragma once

#include <memory>
#include <string>

#include "bench/program.hpp"

namespace evnf::bench
{

enum class FilterHit {
    port,    // the last that it looks at
    nothing, // of all its tables
};

// None if its object is not installed.
Result<std::unique_ptr<Program>> xdp_filter(FilterHit hit);

} // namespace evnf::bench
