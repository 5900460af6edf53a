// SPDX-License-Identifier: GPL-2.0-or-later
// The rules that stand in the fast path, in order of evaluation: efw's own, then those of the
// offload. A rule that stays is the same object as before, see match::Rulesets.
#pragma once

#include <cstdint>
#include <vector>

#include "match/compile.hpp"
#include "vnfs/efw/section.hpp"

namespace evnf::efw
{

class Standing
{
public:
    // All of them.
    void set(const std::vector<SectionRule> &own, std::vector<match::Entry> offloaded);
    // One of efw's own, behind those of its priority; and by its counter.
    void add(const SectionRule &rule);
    void remove(std::uint32_t counter);

    [[nodiscard]] const std::vector<match::EntryRef> &rules() const { return rules_; }

private:
    struct Own {
        unsigned priority;
        std::uint32_t counter;
    };
    std::vector<Own> own_; // the first of rules_
    std::vector<match::EntryRef> rules_;
};

} // namespace evnf::efw
