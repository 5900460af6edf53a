// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>

#include "bench/changes.hpp"
#include "bench/rules_cases.hpp"

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
    json take() { return std::move(report_); }

private:
    json report_;
    std::string text_;
};

} // namespace evnf::bench
