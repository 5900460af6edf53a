// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/classify/section.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "vnfs/classify/abi.h"

namespace evnf::classify
{

namespace
{

Result<std::string> canonical_text(const json &item, const std::string &where)
{
    if (!item.is_string())
        return bad_input("a rule is a string such as \"tcp dport 80\"", where);
    const auto text = item.get<std::string>();
    auto match = match::parse_match(text);
    if (match && match->sets.empty())
        return text_of(*match);
    Error e = match ? at(match::set_in(text, match->sets[0].set),
                         "conditions have no sets: write the values out, as { 80, 443 }, or match "
                         "the set in a rule of efw")
                    : match.error();
    e.where = where;
    return e;
}

std::vector<std::string> texts_of(const json &section)
{
    return section.is_object() ? section["rules"].get<std::vector<std::string>>()
                               : std::vector<std::string>{};
}

} // namespace

Result<json> check_section(const json &section, const json & /*running*/)
{
    if (!section.is_null() && !section.is_object())
        return bad_input("classify is a table");
    const json given = section.is_null() ? json::object() : section;
    for (const auto &[key, value] : given.items())
        if (key != "rules")
            return bad_input(in_quotes(key) + " is not a key of classify: rules", "/" + key);
    const json items = given.value("rules", json::array());
    if (!items.is_array())
        return bad_input("rules are an array of strings", "/rules");
    if (items.size() > CLASSIFY_MAX_RULES)
        return bad_input(std::to_string(items.size()) +
                             " rules are given, classify holds at most " +
                             std::to_string(CLASSIFY_MAX_RULES),
                         "/rules");
    std::vector<std::string> texts;
    for (const auto &item : items) {
        const std::string where = "/rules/" + std::to_string(texts.size());
        auto text = canonical_text(item, where);
        if (!text)
            return text.error();
        if (std::find(texts.begin(), texts.end(), *text) != texts.end())
            return bad_input("this rule stands twice: " + *text, where);
        texts.push_back(*text);
    }
    return json{{"rules", texts}};
}

// By place: a rule's number is the way that its packets go.
std::vector<std::string> diff_sections(const json &from, const json &to)
{
    std::vector<std::string> out;
    const auto before = texts_of(from);
    const auto after = texts_of(to);
    for (std::size_t i = 0; i < std::max(before.size(), after.size()); ++i) {
        const std::string rule = " classify rule " + std::to_string(i + 1) + ": ";
        if (i >= after.size())
            out.push_back("-" + rule + before[i]);
        else if (i >= before.size())
            out.push_back("+" + rule + after[i]);
        else if (before[i] != after[i])
            out.push_back("~" + rule + before[i] + " -> " + after[i]);
    }
    return out;
}

std::vector<match::Match> rules_of(const json &section)
{
    std::vector<match::Match> out;
    for (const auto &text : texts_of(section))
        if (auto match = match::parse_match(text)) // checked before: always good
            out.push_back(*match);
    return out;
}

} // namespace evnf::classify
