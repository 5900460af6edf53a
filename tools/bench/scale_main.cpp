// SPDX-License-Identifier: GPL-2.0-or-later
// evnf-bench-scale: what it costs to be large: many connections, long chains, more cores.
#include <CLI/CLI.hpp>
#include <iostream>

#include "bench/cases.hpp"
#include "bench/connections.hpp"
#include "bench/cores.hpp"
#include "bench/report.hpp"
#include "bench/subject.hpp"

namespace evnf::bench
{

namespace
{

struct Options {
    std::vector<unsigned> connections{1'000, 10'000, 100'000, 1'000'000};
    unsigned seconds = 30;
    bool quick = false;
    std::string json_file;
};

// Tells it, and gives the results of a report.
Result<json> measure_chains(std::chrono::milliseconds time)
{
    const std::vector<unsigned> lengths{1, 2, 3, 4, 8, 16};
    const Traffic traffic{1, 64};
    const Stage efw{"efw", efw_section(11), NEXT};
    Cases cases;
    if (auto r = cases.add_floor(traffic); !r)
        return r.error();
    for (const unsigned length : lengths) {
        const std::vector<Stage> stages(length, efw);
        if (auto r = cases.add("", "root -> " + std::to_string(length) + " efw -> forward", traffic,
                               shared(Subject::chain(stages, End::forward)));
            !r)
            return r.error();
    }
    if (auto r = cases.measure(time); !r)
        return r.error();
    const auto rows = cases.rows();
    std::cout << text_of(rows);
    json out = json::array();
    for (std::size_t i = 0; i < lengths.size(); ++i)
        out.push_back(result_of({.bench = "scale",
                                 .text = "a chain of efw",
                                 .measure = "packet, net",
                                 .parameters = {{"stages", lengths[i]}, {"flows", traffic.flows}},
                                 .unit = "ns"},
                                Better::lower, rows[i + 1].net));
    return out;
}

Result<> run(const Options &options)
{
    const std::chrono::milliseconds time(1000 * options.seconds / 3);
    std::cout << where() << "\nNanoseconds for each packet; net: less the floor\n";
    // On all cores, which this ends.
    auto cores = measure_cores(time);
    if (!cores)
        return cores.error();
    if (auto r = settle(); !r)
        return r;
    json results = *std::move(cores);
    auto chains = measure_chains(time);
    if (!chains)
        return chains.error();
    auto connections = measure_connections(options.connections, time);
    if (!connections)
        return connections.error();
    for (const json &part : {*chains, *connections})
        results.insert(results.end(), part.begin(), part.end());
    return write_report(options.json_file, std::move(results));
}

} // namespace

} // namespace evnf::bench

int main(int argc, char **argv)
{
    evnf::bench::Options options;
    CLI::App app("What it costs to be large: connections, chains, cores");
    auto *connections = app.add_option("--connections", options.connections,
                                       "How many; the last of them with room for 4 times as many")
                            ->check(CLI::Range(1U, 4'000'000U))
                            ->delimiter(',')
                            ->capture_default_str();
    auto *seconds = app.add_option("--seconds", options.seconds,
                                   "For all that is measured, beside "
                                   "what it takes to open connections")
                        ->check(CLI::Range(1U, 3600U))
                        ->capture_default_str();
    app.add_flag("--quick", options.quick, "Up to 100,000 connections, 6 s");
    app.add_option("--json", options.json_file, "Write the numbers to this file too");
    CLI11_PARSE(app, argc, argv);
    if (options.quick) {
        if (connections->empty())
            options.connections.pop_back();
        if (seconds->empty())
            options.seconds = 6;
    }

    if (auto r = evnf::bench::run(options); !r) {
        std::cerr << "evnf-bench-scale: " << r.error().message() << "\n";
        return 1;
    }
    return 0;
}
