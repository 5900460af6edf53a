// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/section_rules.hpp"

#include "base/text.hpp"
#include "vnfs/efw/section_sets.hpp"

namespace evnf::efw
{

RuleKey key_of(const json &rule)
{
    const auto owner = rule.find("owner");
    return {owner == rule.end() ? std::string_view()
                                : std::string_view(owner->get_ref<const std::string &>()),
            rule["rule"].get_ref<const std::string &>()};
}

RuleIndex index_rules(const json &section)
{
    RuleIndex out;
    if (!section.is_object())
        return out;
    out.reserve(section["rules"].size());
    for (const auto &r : section["rules"])
        out.emplace(key_of(r), &r);
    return out;
}

Result<std::string> canonical_rule(const std::string &text, const json &sets,
                                   const std::string &where)
{
    auto rule = parse_rule(text);
    Error e = rule ? Error{} : rule.error();
    if (rule) {
        auto uses = check_uses(rule->match, text, sets);
        if (uses)
            return text_of(*rule);
        e = uses.error();
    }
    e.where = where;
    return e;
}

Result<> check_owner(const json &owner, const std::string &where)
{
    if (!owner.is_string() || !match::is_name(owner.get_ref<const std::string &>()))
        return bad_input("an owner is a letter and up to 62 letters, digits, _, - or .", where);
    return Unit{};
}

} // namespace evnf::efw
