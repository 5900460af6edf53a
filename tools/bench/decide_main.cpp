// SPDX-License-Identifier: GPL-2.0-or-later
// evnf-bench-decide: what a packet costs that efw decides, by how many rules and flows there
// are, beside a plain filter; and what a change of the rules costs.
#include <CLI/CLI.hpp>
#include <iostream>

#include "abi/match.h"
#include "bench/changes.hpp"
#include "bench/decide_cases.hpp"
#include "bench/decide_report.hpp"
#include "bench/report.hpp"

namespace evnf::bench
{

namespace
{

struct Options {
    RulesOptions rules;
    bool quick = false, only_changes = false;
    std::string shape = "all";
    std::string json_file;
};

const std::map<std::string, std::vector<Shape>> shapes{{"all", {Shape::acl, Shape::fw, Shape::ipc}},
                                                       {"acl", {Shape::acl}},
                                                       {"fw", {Shape::fw}},
                                                       {"ipc", {Shape::ipc}}};

// One kind of rules after the other: together they would not fit into memory.
Result<json> run(const Options &options)
{
    if (auto r = settle(); !r)
        return r.error();
    RulesReport report;
    for (const Shape shape : shapes.at(options.shape))
        for (const int family : options.rules.families) {
            if (!options.only_changes) {
                auto cases = measure_rules(shape, family, options.rules);
                if (!cases)
                    return cases.error();
                report.add(shape, family, *cases);
            }
            for (const std::size_t rules : options.rules.sizes) {
                auto changes = time_changes({shape, family, rules});
                if (!changes)
                    return changes.error();
                report.add(shape, family, rules, *changes);
            }
            std::cout << report.take_text() << std::flush;
        }
    return report.take_results();
}

} // namespace

} // namespace evnf::bench

int main(int argc, char **argv)
{
    using namespace evnf::bench;
    Options options;
    CLI::App app("What a packet costs that efw decides, by the number of rules and flows");
    app.add_option("--rules", options.rules.sizes, "How many rules")
        ->check(CLI::Range(std::size_t{1}, std::size_t{MATCH_MAX_RULES - 8}))
        ->delimiter(',');
    app.add_option("--flows", options.rules.flows, "How many flows")
        ->check(CLI::Range(1U, 1'000'000U))
        ->delimiter(',');
    app.add_option("--family", options.rules.families, "4, 6 or both")
        ->check(CLI::IsMember({4, 6}))
        ->delimiter(',');
    app.add_option("--shape", options.shape, "Of the rules: acl, fw, ipc or all")
        ->check(CLI::IsMember({"acl", "fw", "ipc", "all"}))
        ->capture_default_str();
    app.add_option("--seconds", options.rules.seconds, "For each shape and family")
        ->check(CLI::Range(1U, 3600U))
        ->capture_default_str();
    app.add_option("--json", options.json_file, "Write the numbers to this file too");
    app.add_flag("--quick", options.quick, "Only 10, 1,000 and 10,000 rules of IPv4 access lists");
    app.add_flag("--changes", options.only_changes, "Only what changes of the rules cost");
    CLI11_PARSE(app, argc, argv);
    if (options.quick) {
        options.rules.sizes = {10, 1'000, 10'000};
        options.rules.families = {4};
        options.rules.seconds = 15;
        options.shape = "acl";
    }

    auto results = run(options);
    auto written = results ? write_report(options.json_file, *std::move(results))
                           : evnf::Result<>(results.error());
    if (!written) {
        std::cerr << "evnf-bench-decide: " << written.error().message() << "\n";
        return 1;
    }
    return 0;
}
