// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/steps.hpp"

#include <algorithm>
#include <charconv>
#include <string>
#include <unordered_set>
#include <vector>

#include "abi/match.h"
#include "vnfs/efw/section_rules.hpp"
#include "vnfs/efw/tables.hpp"

namespace evnf::efw
{

namespace
{

const std::string rules_path = "/rules/";

std::string text_of(const RuleKey &key)
{
    return std::string(key.owner) + "\n" + std::string(key.text);
}

// What finding a rule, and numbers for a new one, would else cost a look at all rules.
class RuleSteps : public Stepper
{
public:
    explicit RuleSteps(const json &section) : counters_(EFW_COUNTERS)
    {
        counters_[default_counter] = true;
        for (const auto &r : section["rules"])
            add(r);
    }

    void taken(const json &section, const json &patch) override
    {
        for (const auto &op : patch) {
            const auto &path = op["path"].get_ref<const std::string &>();
            if (!path.starts_with(rules_path))
                continue;
            if (op["op"] == "add") {
                add(op["value"]);
            } else {
                const std::size_t at = std::stoul(path.substr(rules_path.size()));
                const json &rule = section["rules"][at];
                keys_.erase(text_of(key_of(rule)));
                counters_[rule["counter"].get<unsigned>()] = false;
                ids_.erase(ids_.begin() + static_cast<std::ptrdiff_t>(at));
            }
        }
    }

    [[nodiscard]] bool has(const RuleKey &key) const { return keys_.contains(text_of(key)); }
    [[nodiscard]] std::optional<std::size_t> place(unsigned id) const
    {
        const auto it = std::find(ids_.begin(), ids_.end(), id);
        return it == ids_.end() ? std::nullopt : std::optional<std::size_t>(it - ids_.begin());
    }
    // Not that of a rule just removed, which may still count a packet under way.
    [[nodiscard]] std::uint32_t free_counter() const
    {
        static_assert(EFW_COUNTERS > 2 * MATCH_MAX_RULES);
        std::uint32_t next = last_counter_;
        do
            next = (next + 1) % EFW_COUNTERS;
        while (counters_[next]);
        return next;
    }

private:
    void add(const json &rule)
    {
        keys_.insert(text_of(key_of(rule)));
        ids_.push_back(rule["id"]);
        last_counter_ = rule["counter"];
        counters_[last_counter_] = true;
    }

    std::unordered_set<std::string> keys_;
    std::vector<unsigned> ids_;  // as the rules stand
    std::vector<bool> counters_; // which are taken
    std::uint32_t last_counter_ = default_counter;
};

const RuleSteps &rule_steps(const Stepper &steps)
{
    return static_cast<const RuleSteps &>(steps);
}

json operation(const char *op, const std::string &path, json value)
{
    return {{"op", op}, {"path", path}, {"value", std::move(value)}};
}

} // namespace

std::unique_ptr<Stepper> make_rule_steps(const json &section)
{
    return std::make_unique<RuleSteps>(section);
}

std::optional<Step> step_add(const Stepper &steps, const json &section, const Request &request)
{
    const auto &known = rule_steps(steps);
    const auto count = section["rules"].size();
    if (count == 0 || count >= MATCH_MAX_RULES)
        return std::nullopt;
    auto item = new_rule(section, request.body);
    if (!item || known.has(key_of(*item)))
        return std::nullopt;
    const auto rule = parse_rule(key_of(*item).text);
    if (!rule || makes_copies(*rule))
        return std::nullopt;
    const unsigned id = section["next_id"];
    json reply = *item;
    reply["id"] = (*item)["id"] = id;
    (*item)["counter"] = known.free_counter();
    Step out{.patch = json::array({operation("add", rules_path + "-", *item),
                                   operation("replace", "/next_id", id + 1)}),
             .reply = std::move(reply),
             .lines = {"+ " + rule_line(*item)},
             .part = {{"rules", json::array({*item})}}};
    return out;
}

std::optional<Step> step_remove(const Stepper &steps, const json &section, const Request &request)
{
    const auto &word = request.words.at(0);
    unsigned id = 0;
    const auto end = word.data() + word.size();
    if (std::from_chars(word.data(), end, id).ptr != end || std::to_string(id) != word ||
        section["rules"].size() < 2)
        return std::nullopt;
    const auto place = rule_steps(steps).place(id);
    if (!place)
        return std::nullopt;
    const json &item = section["rules"][*place];
    const auto rule = parse_rule(key_of(item).text);
    if (!rule || makes_copies(*rule))
        return std::nullopt;
    json reply = item;
    reply.erase("counter");
    Step out{.patch =
                 json::array({{{"op", "remove"}, {"path", rules_path + std::to_string(*place)}}}),
             .reply = std::move(reply),
             .lines = {"- " + rule_line(item)},
             .part = {{"rules", json::array()}}};
    return out;
}

std::optional<RuleStep> rule_step(const json &section, const json &patch)
{
    RuleStep out;
    for (const auto &op : patch) {
        const auto &path = op["path"].get_ref<const std::string &>();
        if (!path.starts_with(rules_path))
            continue;
        const bool adds = op["op"] == "add";
        auto &to = adds ? out.added : out.removed;
        if (to)
            return std::nullopt;
        to = section_rule(adds ? op["value"]
                               : section["rules"][std::stoul(path.substr(rules_path.size()))]);
        if (!to)
            return std::nullopt;
    }
    return out;
}

} // namespace evnf::efw
