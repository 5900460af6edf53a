// SPDX-License-Identifier: GPL-2.0-or-later
// The rules of efw's section as they stand in it.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>

#include "vnfs/efw/rule.hpp"
#include "vnfs/vnf.hpp"

namespace evnf::efw
{

// A rule is the same, with its id and counter, as long as it has this text and owner.
struct RuleKey {
    std::string_view owner; // empty: none
    std::string_view text;  // canonical
    friend bool operator==(const RuleKey &, const RuleKey &) = default;
};

struct RuleKeyHash {
    std::size_t operator()(const RuleKey &key) const
    {
        const std::hash<std::string_view> hash;
        return hash(key.text) ^ hash(key.owner) << 1;
    }
};

// Views of strings in a section, and its rules.
using RuleIndex = std::unordered_map<RuleKey, const json *, RuleKeyHash>;

RuleKey key_of(const json &rule);
// As lines of a diff have it. In section.cpp.
std::string rule_line(const json &rule);
// Of a checked section; empty for null.
RuleIndex index_rules(const json &section);

// The canonical text of a rule that may use `sets`, those of a section.
Result<std::string> canonical_rule(const std::string &text, const json &sets,
                                   const std::string &where);

// That `owner` may be one: see match::is_name.
Result<> check_owner(const json &owner, const std::string &where);

} // namespace evnf::efw
