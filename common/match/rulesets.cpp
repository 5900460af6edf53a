// SPDX-License-Identifier: GPL-2.0-or-later
#include "match/rulesets.hpp"

#include <cstring>
#include <utility>

namespace evnf::match
{

namespace
{

bool same(const match_rule &a, const match_rule &b)
{
    return std::memcmp(&a, &b, sizeof a) == 0;
}

} // namespace

Result<> Rulesets::put(const std::vector<EntryRef> &rules, const match_rule &otherwise,
                       const Names &names)
{
    if (base_ && same(otherwise, otherwise_) && names == base_->names && change(rules))
        return Unit{};
    const match_rule before = std::exchange(otherwise_, otherwise);
    auto put = compile_all(rules, names);
    if (!put)
        otherwise_ = before;
    return put;
}

Result<> Rulesets::tidy(const std::vector<EntryRef> &rules)
{
    if (!base_ || (added_ <= MATCH_MAX_ADDED / 2 && removed_ <= most_removed / 2))
        return Unit{};
    return compile_all(rules, Names(base_->names));
}

// False if it is too much for that.
bool Rulesets::change(const std::vector<EntryRef> &rules)
{
    const auto amendment = amendment_of(*base_, rules);
    // Of few rules all are compiled as soon, and then are searched once.
    if (!amendment || amendment->added.size() > rules.size() / 4)
        return false;
    auto tables = compile(*base_, *amendment, store_.next_change(), store_.change_room());
    if (!tables)
        return false;
    store_.change(*std::move(tables));
    added_ = amendment->added.size();
    removed_ = amendment->removed.size();
    return true;
}

Result<> Rulesets::compile_all(const std::vector<EntryRef> &rules, const Names &names)
{
    auto tables = compile(rules, otherwise_, names);
    if (!tables)
        return tables.error();
    Base base(rules, names, *tables);
    base_.reset(); // whatever comes of it
    if (auto r = store_.put(*std::move(tables)); !r) {
        Error error = r.error();
        error.what += ": write fewer of them, or give the section more memory";
        return error;
    }
    base.layout.first = store_.ruleset();
    base_ = std::move(base);
    added_ = removed_ = 0;
    return Unit{};
}

} // namespace evnf::match
