// SPDX-License-Identifier: GPL-2.0-or-later
// The names of interfaces that rules tell apart, each by one that stands for its like.
#pragma once

#include <string>
#include <vector>

#include "match/match.hpp"
#include "vnfs/efw/analysis/box.hpp"

namespace evnf::efw::analysis
{

class Interfaces
{
public:
    void cut(const match::Interfaces &asked);
    void number();

    [[nodiscard]] Set whole() const;
    [[nodiscard]] Set of(const match::Interfaces &asked) const;
    [[nodiscard]] const std::string &value(const Set &set) const;

private:
    // One that begins so, and that is told from all that are known, if there is one.
    [[nodiscard]] std::string fresh(const std::string &prefix) const;

    std::vector<std::string> asked_; // as rules have them; sorted, each once
    std::vector<std::string> names_; // by class; the first, empty, is of no rule
};

} // namespace evnf::efw::analysis
