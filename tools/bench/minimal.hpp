// SPDX-License-Identifier: GPL-2.0-or-later
// A program that does nothing but look a packet's flow up: see minimal.bpf.c.
#pragma once

#include <memory>

#include "bench/program.hpp"
#include "bench/traffic.hpp"

namespace evnf::bench
{

// With all flows of the traffic in its table; or as many others.
Result<std::unique_ptr<Program>> minimal(const Traffic &traffic, bool found);

} // namespace evnf::bench
