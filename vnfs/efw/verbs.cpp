// SPDX-License-Identifier: GPL-2.0-or-later
// What the API's verbs make of efw's section.
#include <algorithm>
#include <ctime>
#include <limits>
#include <unordered_set>

#include "base/text.hpp"
#include "vnfs/efw/section.hpp"
#include "vnfs/efw/section_rules.hpp"
#include "vnfs/efw/steps.hpp"

namespace evnf::efw
{

namespace
{

// The body's owner, empty if it names none.
Result<std::string> owner_of(const json &body)
{
    if (!body.contains("owner"))
        return std::string();
    if (auto r = check_owner(body["owner"], "/owner"); !r)
        return r.error();
    return body["owner"].get<std::string>();
}

Result<> check_body(const json &body, const char *example,
                    std::initializer_list<std::string_view> keys)
{
    if (!body.is_object() || !body.contains(*keys.begin()))
        return bad_input(std::string("the body is ") + example);
    for (const auto &[key, value] : body.items())
        if (std::find(keys.begin(), keys.end(), key) == keys.end())
            return bad_input(in_quotes(key) + " is not a key of the body, which is " + example,
                             "/" + key);
    return Unit{};
}

json sets_of(const json &section)
{
    return section.value("sets", json::object());
}

// {"rule", "owner"} as a section has it.
json rule_item(const std::string &text, const std::string &owner)
{
    json out{{"rule", text}};
    if (!owner.empty())
        out["owner"] = owner;
    return out;
}

json with_id(json item, const json &id)
{
    item["id"] = id;
    return item;
}

// When a rule with the body's ttl expires; null for never.
Result<json> expiry(const json &body)
{
    if (!body.contains("ttl"))
        return json();
    const json &ttl = body["ttl"];
    constexpr auto most = std::numeric_limits<std::uint32_t>::max();
    if (!ttl.is_number_integer() || ttl < 1 || ttl > most)
        return bad_input("ttl is how many seconds the rule stays: 1 to " + std::to_string(most),
                         "/ttl");
    return json(static_cast<std::uint64_t>(std::time(nullptr)) + ttl.get<std::uint64_t>());
}

Result<Edit> add_rule(const json &section, const Request &request)
{
    auto item = new_rule(section, request.body);
    if (!item)
        return item.error();
    for (const auto &r : section["rules"])
        if (key_of(r) == key_of(*item))
            return Error{.code = EEXIST,
                         .what = "there is this rule already: " + std::string(key_of(r).text) +
                                 " (id " + r["id"].dump() + ")"};
    json next = section;
    next["rules"].push_back(*item);
    return Edit{std::move(next), with_id(*std::move(item), section["next_id"])};
}

Result<Edit> remove_rule(const json &section, const Request &request)
{
    const std::string &id = request.words.at(0);
    const auto &rules = section["rules"];
    const auto it = std::find_if(rules.begin(), rules.end(),
                                 [&](const json &r) { return r["id"].dump() == id; });
    if (it == rules.end())
        return Error{.code = ENOENT, .what = "there is no rule with the id " + id};
    json reply = *it;
    reply.erase("counter");
    json next = section;
    next["rules"].erase(static_cast<std::size_t>(it - rules.begin()));
    return Edit{std::move(next), std::move(reply)};
}

// The texts of the body, canonical, each once.
Result<std::vector<std::string>> texts_of(const json &rules, const json &section,
                                          const std::string &owner, const RuleIndex &known)
{
    if (!rules.is_array())
        return bad_input("rules are an array of strings", "/rules");
    const json sets = sets_of(section);
    std::vector<std::string> out;
    std::unordered_set<std::string> seen;
    for (const auto &item : rules) {
        const std::string where = "/rules/" + std::to_string(out.size());
        if (!item.is_string())
            return bad_input("a rule is a string such as \"tcp dport 80 accept\"", where);
        auto text = item.get<std::string>();
        if (!known.contains({owner, text})) {
            auto canonical = canonical_rule(text, sets, where);
            if (!canonical)
                return canonical.error();
            text = *std::move(canonical);
        }
        if (!seen.insert(text).second)
            return bad_input("this rule stands twice: " + text, where);
        out.push_back(std::move(text));
    }
    return out;
}

// The rules of an owner become those of the body, at the place of the first that was
// there. Those that stay keep their ids, new ones get them as check_section() gives them.
Result<Edit> replace_rules(const json &section, const Request &request)
{
    constexpr const char *example = R"({"rules": ["tcp dport 80 accept"]}, maybe with owner)";
    const json &body = request.body;
    if (auto r = check_body(body, example, {"rules", "owner"}); !r)
        return r.error();
    auto owner = owner_of(body);
    if (!owner)
        return owner.error();
    const auto known = index_rules(section);
    auto texts = texts_of(body["rules"], section, *owner, known);
    if (!texts)
        return texts.error();

    json given = json::array();
    json reply{{"added", json::array()}, {"removed", json::array()}};
    unsigned next_id = section["next_id"];
    for (const auto &text : *texts) {
        json item = rule_item(text, *owner);
        if (!known.contains({*owner, text}))
            reply["added"].push_back(with_id(item, next_id++));
        given.push_back(std::move(item));
    }
    const std::unordered_set<std::string_view> stays(texts->begin(), texts->end());
    json rules = json::array();
    std::size_t place = section["rules"].size();
    for (const auto &r : section["rules"]) {
        const RuleKey key = key_of(r);
        if (key.owner != *owner) {
            rules.push_back(r);
            continue;
        }
        place = std::min(place, rules.size());
        if (!stays.contains(key.text))
            reply["removed"].push_back(with_id(rule_item(std::string(key.text), *owner), r["id"]));
    }
    place = std::min(place, rules.size());
    rules.insert(rules.begin() + static_cast<std::ptrdiff_t>(place), given.begin(), given.end());
    reply["kept"] = given.size() - reply["added"].size();
    json next = section;
    next["rules"] = std::move(rules);
    return Edit{std::move(next), std::move(reply)};
}

Result<Edit> set_offload(const json &section, const Request &request)
{
    if (!request.body.is_object() || request.body.size() != 1 ||
        !request.body.value("enabled", json()).is_boolean())
        return bad_input(R"(the body is {"enabled": true} or {"enabled": false})");
    json next = section;
    next["offload"] = request.body["enabled"];
    return Edit{std::move(next), {{"enabled", request.body["enabled"]}}};
}

} // namespace

Result<json> new_rule(const json &section, const json &body)
{
    constexpr const char *example = R"({"rule": "tcp dport 80 accept"}, maybe with ttl and owner)";
    if (auto r = check_body(body, example, {"rule", "ttl", "owner"}); !r)
        return r.error();
    if (!body["rule"].is_string())
        return bad_input(std::string("the body is ") + example, "/rule");
    auto text = canonical_rule(body["rule"].get<std::string>(), sets_of(section), "/rule");
    if (!text)
        return text.error();
    auto owner = owner_of(body);
    if (!owner)
        return owner.error();
    auto expires = expiry(body);
    if (!expires)
        return expires.error();
    json item = rule_item(*text, *owner);
    if (!expires->is_null())
        item["expires"] = *expires;
    return item;
}

std::vector<Route> section_routes()
{
    return {{"POST", "/rules", add_rule, step_add},
            {"PUT", "/rules", replace_rules},
            {"DELETE", "/rules/([0-9]+)", remove_rule, step_remove},
            {"PUT", "/offload", set_offload}};
}

} // namespace evnf::efw
