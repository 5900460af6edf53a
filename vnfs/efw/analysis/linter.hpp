// SPDX-License-Identifier: GPL-2.0-or-later
// How lint() looks for faults: rule after rule, in one ruleset.
#pragma once

#include "vnfs/efw/analysis/cover.hpp"
#include "vnfs/efw/analysis/lint.hpp"
#include "vnfs/efw/analysis/parts.hpp"

namespace evnf::efw::analysis
{

class Linter
{
public:
    Linter(const Ruleset &ruleset, const LintOptions &options);
    Lint run();

private:
    using Rules = std::vector<std::uint32_t>;
    struct Taken {
        std::optional<Packet> packet;
        std::uint32_t by = 0;
    };
    enum class Answer { no, yes, undecided };

    // Those that decide before rule `end`, but for `except` and the removed ones.
    [[nodiscard]] std::vector<const Item *> deciding(std::size_t world, const Box &box,
                                                     std::uint32_t end, std::uint32_t except) const;
    [[nodiscard]] bool removed(std::uint32_t rule) const
    {
        return rule < removed_.size() && removed_[rule];
    }
    // What the rule is there for: packets that show what it asks for, if there are any.
    // That it leaves others to the slow path nobody has asked of it.
    [[nodiscard]] const Item *wanted(std::uint32_t rule, std::size_t world) const;
    void found(Finding finding);

    // Rules that no packet reaches.
    bool reached(std::uint32_t i);
    [[nodiscard]] bool covered_by(std::uint32_t i, const Rules &rules, bool of_wanted) const;
    [[nodiscard]] Rules least(std::uint32_t i, Rules rules, bool of_wanted) const;
    void shadowed(std::uint32_t i, Rules covering);
    [[nodiscard]] Taken taken_by_one_of(std::uint32_t i, const Rules &rules) const;
    [[nodiscard]] std::optional<Rules> covering_alike(std::uint32_t i) const;
    bool take(std::uint32_t i, bool otherwise, Taken &out) const;
    std::optional<Packet> taken_by(std::uint32_t i, std::uint32_t j, std::size_t w,
                                   bool &undecided) const;

    // Parts of what a rule means. In lint_parts.cpp.
    [[nodiscard]] bool exception(std::uint32_t j, std::uint32_t i) const;
    void overlaps(std::uint32_t i);
    void useless_parts(std::uint32_t i);
    void useless_part(std::uint32_t i, const ListedValue &value);

    // Rules that need not be there. In lint_redundant.cpp.
    [[nodiscard]] Answer goes_otherwise(std::uint32_t i, const Item &later, std::size_t w,
                                        const Box &box,
                                        const std::vector<const Item *> &deciding) const;
    [[nodiscard]] Answer needed(std::uint32_t i, std::size_t w) const;
    void redundant(std::uint32_t i);
    void take_over(std::uint32_t i);

    const Ruleset &ruleset_;
    const LintOptions &options_;
    Space space_;
    Boxes boxes_;
    std::vector<bool> removed_, seen_; // seen_: some packet shows what the rule asks for
    Lint out_;
};

} // namespace evnf::efw::analysis
