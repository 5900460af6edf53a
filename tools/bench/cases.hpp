// SPDX-License-Identifier: GPL-2.0-or-later
// What is measured, and all of it in turn.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "bench/meter.hpp"

namespace evnf::bench
{

struct Case {
    std::string id;   // for JSON and to find it
    std::string text; // for people
    Traffic traffic;
    Meter meter;
};

// Every case, prepared: first with one flow, then (but for the long chains) with many.
Result<std::vector<Case>> prepare_cases(unsigned flows, unsigned size);

// Rounds of samples of every case until the time is over, so that a slow spell hits them
// all. Refuses if any packet did not go the way that is measured.
Result<> measure(std::vector<Case> &cases, std::chrono::seconds time);

} // namespace evnf::bench
