// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/section.hpp"

#include <algorithm>
#include <ctime>
#include <mutex>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "abi/match.h"
#include "base/text.hpp"
#include "vnfs/efw/section_rules.hpp"
#include "vnfs/efw/section_sets.hpp"

namespace evnf::efw
{

namespace
{

Result<> check_keys(const json &table, const std::set<std::string_view> &keys,
                    const std::string &what)
{
    for (auto it = table.begin(); it != table.end(); ++it)
        if (!keys.contains(it.key()))
            return bad_input(in_quotes(it.key()) + " is not a key of " + what, "/" + it.key());
    return Unit{};
}

Result<json> check_default(const json &section)
{
    json given = section.value("default", json("slow"));
    if (given != "accept" && given != "drop" && given != "slow")
        return bad_input("the default is accept, drop or slow", "/default");
    return given;
}

// Whether a table can be a rule, but for its text.
Result<> check_item(const json &item)
{
    static const std::set<std::string_view> keys{"id", "counter", "rule", "owner", "expires"};
    if (!item.is_object() || !item.contains("rule") || !item["rule"].is_string())
        return bad_input("a rule is a string such as \"tcp dport 80 accept\"");
    if (auto r = check_keys(item, keys, "a rule: rule, owner or expires"); !r)
        return r;
    if (const auto owner = item.find("owner"); owner != item.end())
        if (auto r = check_owner(*owner, "/owner"); !r)
            return r;
    const auto expires = item.find("expires");
    if (expires != item.end() && (!expires->is_number_integer() || *expires < 0))
        return bad_input("expires is a time: seconds since 1970 began", "/expires");
    return Unit{};
}

// Makes the rules of a section canonical.
class RuleChecker
{
public:
    RuleChecker(const json &running, const json &sets)
        : known_(index_rules(running)),
          sets_(sets),
          same_sets_(running.is_object() && running.value("sets", json::object()) == sets),
          next_id_(running.is_object() ? running.value("next_id", 1U) : 1U)
    {
    }

    Result<json> check(const json &items)
    {
        if (!items.is_array())
            return bad_input("rules are an array of strings", "/rules");
        if (items.size() > MATCH_MAX_RULES)
            return bad_input(std::to_string(items.size()) + " rules are given, efw holds at most " +
                                 std::to_string(MATCH_MAX_RULES),
                             "/rules");
        rules_.reserve(items.size()); // what has been seen are views of what is in it
        seen_.reserve(items.size());
        for (const auto &item : items)
            if (auto r = add(item); !r) {
                Error e = r.error();
                e.where = "/rules/" + std::to_string(rules_.size()) + e.where;
                return e;
            }
        number();
        json out = json::array();
        for (auto &rule : rules_)
            out.push_back(std::move(rule));
        return out;
    }

    [[nodiscard]] unsigned next_id() const { return next_id_; }

private:
    // Of an error, `where` is relative to the item.
    Result<> add(const json &item)
    {
        if (!item.is_string())
            if (auto r = check_item(item); !r)
                return r;
        const RuleKey given =
            item.is_string() ? RuleKey{{}, item.get_ref<const std::string &>()} : key_of(item);
        auto rule = checked(given, item.is_string() ? "" : "/rule");
        if (!rule)
            return rule.error();
        rule->erase("expires");
        if (item.is_object() && item.contains("expires"))
            (*rule)["expires"] = item["expires"];
        if (seen_.contains(key_of(*rule)))
            return bad_input("this rule stands twice: " + std::string(key_of(*rule).text));
        rules_.push_back(*std::move(rule));
        seen_.insert(key_of(rules_.back()));
        return Unit{};
    }

    // The rule as it is in force, or as it is to be but for its number.
    Result<json> checked(const RuleKey &given, const std::string &where) const
    {
        // What is in force needs no second look, unless it may use sets that are others now.
        const auto known = known_.find(given);
        if (known != known_.end() && (same_sets_ || given.text.find('@') == given.text.npos))
            return *known->second;
        auto text = canonical_rule(std::string(given.text), sets_, where);
        if (!text)
            return text.error();
        const auto same = known_.find({given.owner, *text});
        if (same != known_.end())
            return *same->second;
        json rule = json::object();
        rule["rule"] = *std::move(text);
        if (!given.owner.empty())
            rule["owner"] = given.owner;
        return rule;
    }

    // A rule that stays keeps its id and its counter. The counter of a rule just removed
    // still counts packets that are under way, so it is not given to another rule at
    // once. There is room for both.
    void number()
    {
        static_assert(EFW_COUNTERS > 2 * MATCH_MAX_RULES);
        std::vector<bool> taken(EFW_COUNTERS);
        taken[default_counter] = true;
        for (const auto &[key, rule] : known_)
            taken[(*rule)["counter"].get<unsigned>()] = true;
        unsigned free = 0;
        for (auto &rule : rules_) {
            if (rule.contains("id"))
                continue;
            while (taken[free])
                ++free;
            rule["id"] = next_id_++;
            rule["counter"] = free++;
        }
    }

    RuleIndex known_;
    const json &sets_;
    bool same_sets_;
    unsigned next_id_;
    std::vector<json> rules_;
    std::unordered_set<RuleKey, RuleKeyHash> seen_;
};

std::string time_text(const json &expires)
{
    const auto t = static_cast<std::time_t>(expires.get<std::uint64_t>());
    std::tm tm{};
    char out[sizeof "2026-01-01T00:00:00Z"]{};
    if (!gmtime_r(&t, &tm) || !std::strftime(out, sizeof out, "%FT%TZ", &tm))
        return "never";
    return out;
}

// The rules of `section` that are in `other` too, in the order in which they stand.
std::vector<RuleKey> stayed_in_order(const json &section, const RuleIndex &other)
{
    std::vector<RuleKey> out;
    if (section.is_object())
        for (const auto &r : section["rules"])
            if (other.contains(key_of(r)))
                out.push_back(key_of(r));
    return out;
}

// What checked rules mean. A change of one rule among thousands finds the others here.
class ParsedRules
{
public:
    Result<Rule> of(std::string_view text)
    {
        const std::scoped_lock lock(mutex_);
        if (const auto it = rules_.find(std::string(text)); it != rules_.end())
            return it->second;
        if (rules_.size() >= most)
            rules_.clear();
        auto rule = parse_rule(text);
        if (rule)
            rules_.emplace(text, *rule);
        return rule;
    }

private:
    static constexpr std::size_t most = 2 * MATCH_MAX_RULES;
    std::mutex mutex_;
    std::unordered_map<std::string, Rule> rules_;
};

} // namespace

Result<json> check_section(const json &section, const json &running)
{
    static const std::set<std::string_view> keys{"default", "rules",   "sets",
                                                 "memory",  "offload", "next_id"};
    static const json empty = json::object();
    static const json no_rules = json::array();
    if (!section.is_null() && !section.is_object())
        return bad_input("efw is a table");
    const json &given = section.is_null() ? empty : section;
    if (auto r = check_keys(given, keys, "efw: default, rules, sets, memory or offload"); !r)
        return r.error();
    auto otherwise = check_default(given);
    if (!otherwise)
        return otherwise;
    auto sets = check_sets(given.contains("sets") ? given["sets"] : empty, running);
    if (!sets) {
        Error e = sets.error();
        e.where = "/sets" + e.where;
        return e;
    }
    const json memory = given.value("memory", json(default_memory));
    if (!memory.is_number_integer() || memory < 1 || memory > max_memory)
        return bad_input("memory is how many MiB of tables a ruleset may need: 1 to " +
                             std::to_string(max_memory),
                         "/memory");
    const json offload = given.value("offload", json(false));
    if (!offload.is_boolean())
        return bad_input("offload is true or false: whether netfilter's rules are offloaded",
                         "/offload");
    if (offload == true && *otherwise != "slow")
        return bad_input("offload needs the default slow: netfilter decides what is not offloaded",
                         "/offload");
    RuleChecker checker(running, *sets);
    auto rules = checker.check(given.contains("rules") ? given["rules"] : no_rules);
    if (!rules)
        return rules;
    json out{{"default", *std::move(otherwise)},
             {"memory", memory},
             {"offload", offload},
             {"next_id", checker.next_id()}};
    out["rules"] = *std::move(rules);
    out["sets"] = *std::move(sets);
    return out;
}

std::string rule_line(const json &rule)
{
    const RuleKey key = key_of(rule);
    std::string out = "efw rule " + std::string(key.text);
    out += key.owner.empty() ? "" : " (owner " + std::string(key.owner) + ")";
    out += rule.contains("expires") ? ", until " + time_text(rule["expires"]) : "";
    return out;
}

std::vector<std::string> diff_sections(const json &from, const json &to)
{
    std::vector<std::string> out;
    const auto before = index_rules(from);
    const auto after = index_rules(to);
    const std::string old_default = from.is_object() ? from["default"] : json("slow");
    const json old_memory = from.is_object() ? from["memory"] : json(default_memory);
    if (to["memory"] != old_memory)
        out.push_back("~ efw memory " + old_memory.dump() + " -> " + to["memory"].dump() + " MiB");
    if (to["offload"] != (from.is_object() ? from["offload"] : json(false)))
        out.push_back(to["offload"] == true ? "+ efw offload of netfilter's rules"
                                            : "- efw offload of netfilter's rules");
    if (to["default"] != old_default)
        out.push_back("~ efw default " + old_default + " -> " + to["default"].get<std::string>());
    for (auto &changed : diff_sets(from, to))
        out.push_back(std::move(changed));
    if (from.is_object())
        for (const auto &r : from["rules"])
            if (!after.contains(key_of(r)))
                out.push_back("- " + rule_line(r));
    for (const auto &r : to["rules"]) {
        const auto old = before.find(key_of(r));
        if (old == before.end())
            out.push_back("+ " + rule_line(r));
        else if (old->second->value("expires", json()) != r.value("expires", json()))
            out.push_back("~ " + rule_line(r));
    }
    if (stayed_in_order(from, after) != stayed_in_order(to, before))
        out.push_back("~ efw rules in another order");
    return out;
}

std::optional<SectionRule> section_rule(const json &item)
{
    static ParsedRules parsed;
    const auto [owner, text] = key_of(item);
    std::optional<std::uint64_t> expires;
    if (item.contains("expires"))
        expires = item["expires"].get<std::uint64_t>();
    auto rule = parsed.of(text);
    if (!rule)
        return std::nullopt;
    return SectionRule{item["id"], item["counter"], std::string(owner), expires, *std::move(rule)};
}

std::vector<SectionRule> ordered_rules(const json &section)
{
    std::vector<SectionRule> out;
    out.reserve(section["rules"].size());
    for (const auto &r : section["rules"])
        if (auto rule = section_rule(r)) // checked before: always good
            out.push_back(*std::move(rule));
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

std::optional<json> without_expired(const json &section, std::uint64_t now)
{
    const auto expired = [&](const json &rule) {
        const auto at = rule.find("expires");
        return at != rule.end() && at->get<std::uint64_t>() <= now;
    };
    const auto &rules = section["rules"];
    if (std::none_of(rules.begin(), rules.end(), expired))
        return std::nullopt;
    json out = section;
    out["rules"] = json::array();
    for (const auto &r : rules)
        if (!expired(r))
            out["rules"].push_back(r);
    return out;
}

} // namespace evnf::efw
