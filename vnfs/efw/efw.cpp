// SPDX-License-Identifier: GPL-2.0-or-later
// efw for the daemon: loads the fast path and swaps its ruleset.
#include <set>

#include "base/text.hpp"
#include "efw.skel.h"
#include "match/compile.hpp"
#include "vnfs/efw/section.hpp"

namespace evnf::efw
{

namespace
{

using Skeleton = bpf::Skeleton<efw_bpf>;
using Counters = bpf::PerCpuCounters<counter>;

class EfwFastPath : public FastPath
{
public:
    EfwFastPath(Skeleton skel, Counters counters, int ruleset)
        : skel_(std::move(skel)),
          counters_(counters),
          ruleset_(ruleset)
    {
    }

    // Counters that go on: those of the rules in force until now.
    void adopt(const json &running)
    {
        if (running.is_object())
            for (const auto &r : running["rules"])
                counting_.insert(r["counter"].get<unsigned>());
    }

    [[nodiscard]] int program() const override { return bpf_program__fd(skel_->progs.efw); }

    Result<> apply(const json &section) override
    {
        std::vector<match::Entry> rules;
        std::set<unsigned> counting;
        for (const auto &r : ordered_rules(section)) {
            rules.push_back({r.rule.match, r.rule.action, r.counter});
            counting.insert(r.counter);
        }
        for (const unsigned counter : counting)
            if (!counting_.contains(counter))
                if (auto r = counters_.clear(counter); !r)
                    return r;
        const auto tables = match::compile(rules, {default_action(section), default_counter});
        if (auto r = match::put_tables(ruleset_, *tables); !r)
            return r;
        counting_ = std::move(counting);
        return Unit{};
    }

    [[nodiscard]] json show(const json &section) const override
    {
        const counter otherwise = counters_.sum(default_counter);
        json rules = json::array();
        for (const auto &r : ordered_rules(section)) {
            const counter c = counters_.sum(r.counter);
            rules.push_back({{"id", r.id},
                             {"rule", text_of(r.rule)},
                             {"priority", r.rule.priority},
                             {"action", std::string(action_text(r.rule.action))},
                             {"packets", c.packets},
                             {"bytes", c.bytes}});
        }
        return {{"default", section["default"]},
                {"default_packets", otherwise.packets},
                {"default_bytes", otherwise.bytes},
                {"rules", std::move(rules)}};
    }

    [[nodiscard]] std::vector<Metric> metrics(const json &section) const override
    {
        std::vector<Metric> out;
        const json shown = show(section);
        auto add = [&](const std::string &id, const std::string &rule, double packets,
                       double bytes) {
            const std::vector<std::pair<std::string, std::string>> labels{{"id", id},
                                                                          {"rule", rule}};
            out.push_back(
                {"evnf_efw_rule_packets_total", "Frames that a rule decided", labels, packets});
            out.push_back({"evnf_efw_rule_bytes_total", "Bytes of frames that a rule decided",
                           labels, bytes});
        };
        for (const auto &r : shown["rules"])
            add(std::to_string(r["id"].get<unsigned>()), r["rule"], r["packets"], r["bytes"]);
        add("default", shown["default"], shown["default_packets"], shown["default_bytes"]);
        return out;
    }

private:
    Skeleton skel_;
    Counters counters_;
    int ruleset_;                 // the outer map
    std::set<unsigned> counting_; // counters in use by the rules in force
};

Result<std::unique_ptr<FastPath>> load(bpf::MapSet &maps, const json &section, const json &running)
{
    auto skel = Skeleton::load(maps);
    if (!skel)
        return skel.error();
    auto counters = Counters::bind(maps, "efw_counters");
    if (!counters)
        return counters.error();
    auto ruleset = maps.fd("efw_ruleset");
    if (!ruleset)
        return ruleset.error();
    auto fast_path = std::make_unique<EfwFastPath>(*std::move(skel), *counters, *ruleset);
    fast_path->adopt(running);
    if (auto r = fast_path->apply(section); !r)
        return r.error();
    return std::unique_ptr<FastPath>(std::move(fast_path));
}

std::vector<Destination> destinations(const json &section)
{
    std::vector<Destination> out;
    for (std::size_t i = 0; i < section["rules"].size(); ++i) {
        const auto text = section["rules"][i]["rule"].get<std::string>();
        if (const auto rule = parse_rule(text))
            out.push_back(destination_of(rule->match, "rule " + in_quotes(text),
                                         "/rules/" + std::to_string(i)));
    }
    return out;
}

bool accepts_all(const json &section)
{
    return section["rules"].empty() && section["default"] == "accept";
}

// Its detail is a rule's counter and one.
std::string rule_of(const json &section, unsigned detail)
{
    if (detail == default_counter + 1U)
        return "default " + section["default"].get<std::string>();
    for (const auto &r : section["rules"])
        if (r["counter"].get<unsigned>() + 1 == detail)
            return "rule " + r["id"].dump() + ": " + r["rule"].get<std::string>();
    return "a rule that is gone";
}

const VnfType type{.name = "efw",
                   .descriptor = {.drops = true, .cost_ns = 37},
                   .reasons = {EFW_REASONS(EVNF_REASON_ROW)},
                   .routes = section_routes(),
                   .check = check_section,
                   .diff = diff_sections,
                   .load = load,
                   .matches = destinations,
                   .idle = accepts_all,
                   .explain = rule_of};
const Registration registration(type);

} // namespace

} // namespace evnf::efw
