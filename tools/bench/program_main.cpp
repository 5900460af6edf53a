// SPDX-License-Identifier: GPL-2.0-or-later
// evnf-bench-program: what a packet costs in each program, by BPF_PROG_TEST_RUN.

#include <CLI/CLI.hpp>
#include <iostream>

#include "bench/program_cases.hpp"
#include "bench/report.hpp"
#include "bench/same.hpp"

namespace evnf::bench
{

namespace
{

struct Options {
    std::vector<int> families{4, 6};
    std::vector<unsigned> sizes{64, 1500}, flows{1, 60'000, 1'000'000};
    double seconds = 5;
    bool quick = false;
    PeerOptions peer;
    std::string json_file;
};

// One kind of traffic after the other: tables for a million flows each would not fit into memory
// together.
Result<std::vector<Row>> measure_one(const Options &options, const Traffic &traffic)
{
    Cases cases;
    if (auto r = add_program_cases(cases, traffic, options.peer); !r)
        return r.error();
    if (auto r = cases.measure(std::chrono::milliseconds(static_cast<int>(1000 * options.seconds)));
        !r)
        return r.error();
    return cases.rows();
}

Result<> run(const Options &options)
{
    constexpr unsigned frames_compared = 5000;
    if (auto r = settle(); !r)
        return r;
    if (auto r = check_linked(frames_compared); !r)
        return r;
    std::cout << where() << "\nNanoseconds for each packet; net: less the floor\n";
    json results = json::array();
    for (const unsigned flows : options.flows)
        for (const int family : options.families)
            for (const unsigned size : options.sizes) {
                auto rows = measure_one(options, {flows, size, family});
                if (!rows)
                    return rows.error();
                std::cout << text_of(*rows) << text_of_comparisons(*rows) << std::flush;
                for (auto &one : results_of("program", *rows))
                    results.push_back(std::move(one));
            }
    return write_report(options.json_file, std::move(results));
}

} // namespace

} // namespace evnf::bench

int main(int argc, char **argv)
{
    evnf::bench::Options options;
    CLI::App app("What a packet costs in each program, by BPF_PROG_TEST_RUN");
    auto *flows = app.add_option("--flows", options.flows, "How many flows")
                      ->check(CLI::Range(1U, 1000000U))
                      ->delimiter(',')
                      ->capture_default_str();
    auto *sizes = app.add_option("--size", options.sizes,
                                 "Bytes of each frame, without FCS; of IPv6 at least 74")
                      ->check(CLI::Range(64U, 1514U))
                      ->delimiter(',')
                      ->capture_default_str();
    auto *families = app.add_option("--family", options.families, "4, 6 or both")
                         ->check(CLI::IsMember({4, 6}))
                         ->delimiter(',')
                         ->capture_default_str();
    auto *seconds = app.add_option("--seconds", options.seconds, "For each kind of traffic")
                        ->check(CLI::Range(0.1, 3600.0))
                        ->capture_default_str();
    evnf::bench::add_peer_options(app, options.peer);
    app.add_option("--json", options.json_file, "Write the numbers to this file too");
    app.add_flag("--quick", options.quick,
                 "1 and 60,000 flows of IPv4 in frames of 64 bytes, 3 s each");
    CLI11_PARSE(app, argc, argv);
    if (options.quick) {
        if (flows->empty())
            options.flows = {1, 60'000};
        if (sizes->empty())
            options.sizes = {64};
        if (families->empty())
            options.families = {4};
        if (seconds->empty())
            options.seconds = 3;
    }

    if (auto r = evnf::bench::run(options); !r) {
        std::cerr << "evnf-bench-program: " << r.error().message() << "\n";
        return 1;
    }
    return 0;
}
