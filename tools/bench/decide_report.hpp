// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>

#include "bench/changes.hpp"
#include "bench/decide_cases.hpp"

namespace evnf::bench
{

class RulesReport
{
public:
    RulesReport();
    void add(Shape shape, int family, const std::vector<RulesCase> &cases);
    void add(Shape shape, int family, std::size_t rules, const Changes &changes);

    // For people: what was added since the last time.
    std::string take_text();
    json take_results() { return std::move(results_); }

private:
    json results_ = json::array();
    std::string text_;
};

} // namespace evnf::bench
