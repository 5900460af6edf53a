// SPDX-License-Identifier: GPL-2.0-or-later
// The rules of a fast path, and what changes of them cost: a change of few rules is compiled
// alone, beside the others.
#pragma once

#include <optional>

#include "match/amendment.hpp"
#include "match/store.hpp"

namespace evnf::match
{

class Rulesets
{
public:
    explicit Rulesets(Store store) : store_(std::move(store)) {}

    // Replaces the rules as a whole, as Store::put() does. Those that have stayed are the
    // same objects.
    Result<> put(const std::vector<EntryRef> &rules, const match_rule &otherwise,
                 const Names &names);

    // Compiles all rules, which are those in force, anew if so many have changed that soon they
    // would have to be.
    Result<> tidy(const std::vector<EntryRef> &rules);

    [[nodiscard]] const Store &store() const { return store_; }
    // How many rules are in force beside the ruleset that was compiled last, and how many of
    // it are not.
    [[nodiscard]] std::size_t added() const { return added_; }
    [[nodiscard]] std::size_t removed() const { return removed_; }

private:
    bool change(const std::vector<EntryRef> &rules);
    Result<> compile_all(const std::vector<EntryRef> &rules, const Names &names);

    Store store_;
    std::optional<Base> base_; // as the store has it
    match_rule otherwise_{};
    std::size_t added_ = 0, removed_ = 0;
};

} // namespace evnf::match
