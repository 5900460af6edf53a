// SPDX-License-Identifier: GPL-2.0-or-later
// evnf-bench-program: what a packet costs in each program, by BPF_PROG_TEST_RUN.

#include <CLI/CLI.hpp>
#include <iostream>

#include "bench/cases.hpp"
#include "bench/report.hpp"
#include "bench/same.hpp"

namespace evnf::bench
{

namespace
{

struct Options {
    unsigned flows = 60000;
    unsigned size = 64;
    bool quick = false;
    std::string json_file;
};

Result<> run(const Options &options)
{
    constexpr unsigned frames_compared = 5000;
    if (auto r = settle(); !r)
        return r;
    if (auto r = check_linked(frames_compared); !r)
        return r;
    auto cases = prepare_cases(options.flows, options.size);
    if (!cases)
        return cases.error();
    if (auto r = measure(*cases, std::chrono::seconds(options.quick ? 8 : 60)); !r)
        return r;
    const json report = report_of(*cases);
    std::cout << text_of(report);
    return write_report(options.json_file, report);
}

} // namespace

} // namespace evnf::bench

int main(int argc, char **argv)
{
    evnf::bench::Options options;
    CLI::App app("What a packet costs in each program, by BPF_PROG_TEST_RUN");
    app.add_option("--flows", options.flows, "How many flows, beside one")
        ->check(CLI::Range(1U, 1000000U))
        ->capture_default_str();
    app.add_option("--size", options.size, "Bytes of each frame, without FCS")
        ->check(CLI::Range(64U, 1514U))
        ->capture_default_str();
    app.add_option("--json", options.json_file, "Write the numbers to this file too");
    app.add_flag("--quick", options.quick, "Fewer samples, in under 20 seconds");
    CLI11_PARSE(app, argc, argv);

    if (auto r = evnf::bench::run(options); !r) {
        std::cerr << "evnf-bench-program: " << r.error().message() << "\n";
        return 1;
    }
    return 0;
}
