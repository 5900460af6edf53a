// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/section.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "abi/match.h"
#include "base/text.hpp"

namespace evnf::efw
{

namespace
{

// A rule that kept its text keeps its id and its counter.
struct Known {
    unsigned id;
    unsigned counter;
};

std::map<std::string, Known> rules_of(const json &section)
{
    std::map<std::string, Known> out;
    if (section.is_object())
        for (const auto &r : section["rules"])
            out[r["rule"]] = {r["id"], r["counter"]};
    return out;
}

Result<std::string> canonical_text(const json &item, const std::string &where)
{
    const bool object = item.is_object() && item.contains("rule") && item["rule"].is_string();
    if (!item.is_string() && !object)
        return bad_input("a rule is a string such as \"tcp dport 80 accept\"", where);
    const auto text = (object ? item["rule"] : item).get<std::string>();
    auto rule = parse_rule(text);
    if (rule)
        return text_of(*rule);
    Error e = rule.error();
    e.where = object ? where + "/rule" : where;
    return e;
}

Result<> check_keys(const json &section)
{
    static const std::set<std::string> keys{"default", "rules", "next_id"};
    for (const auto &[key, value] : section.items())
        if (!keys.contains(key))
            return bad_input(in_quotes(key) + " is not a key of efw: default or rules", "/" + key);
    return Unit{};
}

// The rules of `section` that are in `other` too, in the order in which they stand.
std::vector<std::string> stayed_in_order(const json &section,
                                         const std::map<std::string, Known> &other)
{
    std::vector<std::string> out;
    if (section.is_object())
        for (const auto &r : section["rules"])
            if (other.contains(r["rule"]))
                out.push_back(r["rule"]);
    return out;
}

Result<Edit> add_rule(const json &section, const Request &request)
{
    if (!request.body.is_object() || !request.body.contains("rule") ||
        !request.body["rule"].is_string())
        return bad_input(R"(the body is {"rule": "tcp dport 80 accept"})");
    auto rule = parse_rule(request.body["rule"].get<std::string>());
    if (!rule) {
        Error e = rule.error();
        e.where = "/rule";
        return e;
    }
    const std::string text = text_of(*rule);
    if (const auto known = rules_of(section); known.contains(text))
        return Error{.code = EEXIST,
                     .what = "there is this rule already: " + text + " (id " +
                             std::to_string(known.at(text).id) + ")"};
    json next = section;
    next["rules"].push_back(text);
    return Edit{next, {{"id", section["next_id"]}, {"rule", text}}};
}

Result<Edit> remove_rule(const json &section, const Request &request)
{
    const std::string &id = request.words.at(0);
    json next = section;
    auto &rules = next["rules"];
    const auto it = std::find_if(rules.begin(), rules.end(), [&](const json &r) {
        return std::to_string(r["id"].get<unsigned>()) == id;
    });
    if (it == rules.end())
        return Error{.code = ENOENT, .what = "there is no rule with the id " + id};
    const json reply{{"id", (*it)["id"]}, {"rule", (*it)["rule"]}};
    rules.erase(it);
    return Edit{next, reply};
}

} // namespace

Result<json> check_section(const json &section, const json &running)
{
    if (!section.is_null() && !section.is_object())
        return bad_input("efw is a table");
    const json given = section.is_null() ? json::object() : section;
    if (auto r = check_keys(given); !r)
        return r.error();
    const json otherwise = given.value("default", json("slow"));
    auto action = parse_action(otherwise.is_string() ? otherwise.get<std::string>() : "");
    if (!action)
        return bad_input("the default is accept, drop or slow", "/default");
    const json items = given.value("rules", json::array());
    if (!items.is_array())
        return bad_input("rules are an array of strings", "/rules");
    if (items.size() > MATCH_MAX_RULES)
        return bad_input(std::to_string(items.size()) + " rules are given, efw holds at most " +
                             std::to_string(MATCH_MAX_RULES),
                         "/rules");

    const auto known = rules_of(running);
    unsigned next_id = running.is_object() ? running.value("next_id", 1U) : 1U;
    std::vector<std::string> texts;
    std::set<std::string> seen;
    std::set<unsigned> counters{default_counter};
    for (const auto &item : items) {
        const std::string where = "/rules/" + std::to_string(texts.size());
        auto text = canonical_text(item, where);
        if (!text)
            return text.error();
        if (!seen.insert(*text).second)
            return bad_input("this rule stands twice: " + *text, where);
        if (const auto it = known.find(*text); it != known.end())
            counters.insert(it->second.counter);
        texts.push_back(*text);
    }
    // The counter of a rule just removed still counts packets that are under way, so it
    // is not given to another rule at once. There is room for both.
    static_assert(EFW_COUNTERS > 2 * MATCH_MAX_RULES);
    for (const auto &[text, rule] : known)
        counters.insert(rule.counter);
    json rules = json::array();
    unsigned free = 1;
    for (const auto &text : texts) {
        if (const auto it = known.find(text); it != known.end()) {
            rules.push_back(
                {{"id", it->second.id}, {"counter", it->second.counter}, {"rule", text}});
            continue;
        }
        while (counters.contains(free))
            ++free;
        rules.push_back({{"id", next_id++}, {"counter", free++}, {"rule", text}});
    }
    return json{
        {"default", std::string(action_text(*action))}, {"next_id", next_id}, {"rules", rules}};
}

std::vector<std::string> diff_sections(const json &from, const json &to)
{
    std::vector<std::string> out;
    const auto before = rules_of(from);
    const auto after = rules_of(to);
    const std::string old_default = from.is_object() ? from["default"] : json("slow");
    if (to["default"] != old_default)
        out.push_back("~ efw default " + old_default + " -> " + to["default"].get<std::string>());
    for (const auto &[text, rule] : before)
        if (!after.contains(text))
            out.push_back("- efw rule " + text);
    for (const auto &[text, rule] : after)
        if (!before.contains(text))
            out.push_back("+ efw rule " + text);
    if (stayed_in_order(from, after) != stayed_in_order(to, before))
        out.push_back("~ efw rules in another order");
    return out;
}

std::vector<Route> section_routes()
{
    return {{"POST", "/rules", add_rule}, {"DELETE", "/rules/([0-9]+)", remove_rule}};
}

std::vector<SectionRule> ordered_rules(const json &section)
{
    std::vector<SectionRule> out;
    for (const auto &r : section["rules"])
        if (auto rule = parse_rule(r["rule"].get<std::string>())) // checked before: always good
            out.push_back({r["id"], r["counter"], *rule});
    std::stable_sort(out.begin(), out.end(), [](const SectionRule &a, const SectionRule &b) {
        return a.rule.priority < b.rule.priority;
    });
    return out;
}

efw_action default_action(const json &section)
{
    auto action = parse_action(section["default"].get<std::string>());
    return action ? *action : EFW_DROP;
}

} // namespace evnf::efw
