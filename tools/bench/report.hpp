// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>

#include "bench/cases.hpp"

namespace evnf::bench
{

// What was measured, what follows from it, and where it was measured.
json report_of(const std::vector<Case> &cases);
// The same for people.
std::string text_of(const json &report);

// On one CPU, as a queue's packets are; and where no route of this host's counts.
Result<> settle();
// Nowhere if the path is empty.
Result<> write_report(const std::string &path, const json &report);

// For every report: the machine and its kernel; columns.
json environment();
std::string number(double value, int width, int decimals = 0);
std::string padded(const std::string &text, std::size_t width);

} // namespace evnf::bench
