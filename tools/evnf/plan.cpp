// SPDX-License-Identifier: GPL-2.0-or-later
#include "plan.hpp"

#include <cstdio>
#include <map>
#include <memory>

namespace evnf::cli
{

namespace
{

std::string next_text(const json &next)
{
    if (next.is_string())
        return next;
    // By target, so that what all outputs share is said once.
    std::map<std::string, std::string> by_target;
    for (const auto &[output, target] : next.items()) {
        std::string &outputs = by_target[target.get<std::string>()];
        outputs += (outputs.empty() ? "" : ", ") + output;
    }
    std::string out;
    for (const auto &[target, outputs] : by_target)
        out += (out.empty() ? "" : "; ") + (by_target.size() > 1 ? outputs + " -> " : "") + target;
    return out;
}

std::string measured(const json &place)
{
    if (!place.contains("measured_ns"))
        return "-";
    char text[32];
    std::snprintf(text, sizeof text, "%.0f", place["measured_ns"].get<double>());
    return text;
}

std::string plan_view(const json &plan)
{
    std::string out;
    for (const auto &chain : plan) {
        out += (out.empty() ? "" : "\n") + chain["name"].get<std::string>() + ": " +
               chain["asked"].get<std::string>() + "\n";
        std::vector<std::vector<std::string>> rows{
            {"PLACE", "VNF", "SLOW EXIT", "NS (ESTIMATE)", "NS (MEASURED)", "NEXT"}};
        for (const auto &root : chain["roots"])
            rows.push_back({root["place"], "parses to " + root["parses"].get<std::string>(), "-",
                            root["estimate_ns"].dump(), measured(root), next_text(root["next"])});
        for (const auto &place : chain["places"])
            rows.push_back(
                {place["place"], place.value("vnf", "-"), place.value("exit", "-"),
                 place["left_out"].get<bool>() ? "left out: idle" : place["estimate_ns"].dump(),
                 measured(place), next_text(place["next"])});
        out += table(rows);
    }
    return out.empty() ? "no chains\n" : out;
}

void put_times(json &plan, const json &times)
{
    for (auto &chain : plan)
        for (const auto *list : {"roots", "places"})
            for (auto &place : chain[list])
                for (const auto &t : times)
                    if (t["chain"] == chain["name"] && t["place"] == place["place"]) {
                        place["measured_ns"] = t["ns"];
                        place["samples"] = t["samples"];
                    }
}

void show_plan(Context &context, unsigned seconds)
{
    auto plan = context.call("GET", "/v1/plan");
    if (!plan)
        return context.fail(plan.error());
    if (seconds) {
        auto times = context.call("GET", "/v1/times?seconds=" + std::to_string(seconds));
        if (!times)
            return context.fail(times.error());
        put_times(*plan, *times);
    }
    context.print(*plan, plan_view);
}

} // namespace

void add_plan_command(CLI::App &chain, Context &context)
{
    auto *plan = chain.add_subcommand("plan", "The chains as asked for and as they run");
    auto seconds = std::make_shared<unsigned>(0);
    plan->add_option("--measure", *seconds, "Take the time of live packets for so many seconds")
        ->check(CLI::Range(1U, 60U));
    plan->footer("Estimates are for one hot flow and compare chains; measured times are of one\n"
                 "packet in 16, with the clock's own cost in them (about 20 ns for each place).");
    plan->callback([&context, seconds] { show_plan(context, *seconds); });
}

} // namespace evnf::cli
