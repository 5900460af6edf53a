// SPDX-License-Identifier: GPL-2.0-or-later
// The form of what every benchmark writes with --json, and of its columns for people.
// docs/performance.md has the form in words; report.py is its other side.
#pragma once

#include <string>

#include "bench/figures.hpp"
#include "vnfs/vnf.hpp"

namespace evnf::bench
{

// What a result is about. All of it together tells it from others.
struct About {
    std::string bench;
    std::string text; // of the case
    std::string measure;
    json parameters = json::object();
    std::string unit;
};

enum class Better { lower, higher };

json result_of(const About &about, Better better, const Figures &figures);
// Of what is known by a single look.
json result_of(const About &about, Better better, double value);

// Nowhere if the path is empty.
Result<> write_report(const std::string &path, json results);

// The machine and its kernel in a line.
std::string where();
std::string number(double value, int width, int decimals = 0);
std::string padded(const std::string &text, std::size_t width);

} // namespace evnf::bench
