// SPDX-License-Identifier: GPL-2.0-or-later
// evnf-bench-balancer: what a packet costs that elb balances, of an established connection and
// of a new one, by how many there are; beside another balancer's program, if one is given.
#include <CLI/CLI.hpp>
#include <iostream>

#include "bench/cases.hpp"
#include "bench/peer.hpp"
#include "bench/report.hpp"
#include "bench/reweight.hpp"
#include "bench/subject.hpp"
#include "vnfs/elb/abi.h"

namespace evnf::bench
{

namespace
{

struct Options {
    std::vector<unsigned> flows{1, 60'000, 1'000'000};
    unsigned seconds = 60, rounds = 20;
    PeerOptions peer;
    std::string json_file;
    bool only_reweighting = false;
};

Result<std::shared_ptr<Program>> ours(unsigned flows)
{
    return shared(Subject::chain({{"elb", elb_section(flows), ELB_NEXT_BACKEND}}, End::forward));
}

Result<> add_all(Cases &cases, unsigned flows, const PeerOptions &peer)
{
    const unsigned size = 64;
    const Traffic established{flows, size}, opening{flows, size, 4, true};
    if (auto r = cases.add_floor(established); !r)
        return r;
    if (auto r = cases.add("established", "root -> elb -> forward", established, ours(flows)); !r)
        return r;
    // Tables for fewer: each is new again when its turn comes. But for one, whose SYN is sent
    // again and again.
    const std::string what = flows == 1 ? "a SYN again" : "new connections";
    if (auto r = cases.add("new", "root -> elb -> forward, " + what, opening, ours(flows / 32)); !r)
        return r;
    if (peer.object.empty())
        return Unit{};
    const std::string &name = peer.program;
    if (auto r = cases.add("peer_established", name, established, shared(load_peer(peer))); !r)
        return r;
    return cases.add("peer_new", name + ", " + what, opening, shared(load_peer(peer)));
}

Result<> run(const Options &options)
{
    if (auto r = settle(); !r)
        return r;
    if (options.only_reweighting) {
        auto results = measure_reweighting(options.rounds);
        return results ? write_report(options.json_file, *std::move(results)) : results.error();
    }
    Cases cases;
    for (const unsigned flows : options.flows)
        if (auto r = add_all(cases, flows, options.peer); !r)
            return r;
    if (auto r = cases.measure(std::chrono::seconds(options.seconds)); !r)
        return r;
    std::cout << where() << "\nNanoseconds for each packet; net: less the floor\n"
              << text_of(cases.rows());
    return write_report(options.json_file, results_of("balancer", cases.rows()));
}

} // namespace

} // namespace evnf::bench

int main(int argc, char **argv)
{
    evnf::bench::Options options;
    CLI::App app("What a packet costs that elb balances, by BPF_PROG_TEST_RUN");
    app.add_option("--flows", options.flows, "How many connections")
        ->check(CLI::Range(1U, 1'000'000U))
        ->delimiter(',')
        ->capture_default_str();
    app.add_option("--seconds", options.seconds, "For all of it")
        ->check(CLI::Range(1U, 3600U))
        ->capture_default_str();
    evnf::bench::add_peer_options(app, options.peer);
    app.add_flag("--reweight", options.only_reweighting,
                 "Only what it costs to change all weights at once");
    app.add_option("--rounds", options.rounds, "Of changing them")
        ->check(CLI::Range(1U, 1000U))
        ->capture_default_str();
    app.add_option("--json", options.json_file, "Write the numbers to this file too");
    CLI11_PARSE(app, argc, argv);

    if (auto r = evnf::bench::run(options); !r) {
        std::cerr << "evnf-bench-balancer: " << r.error().message() << "\n";
        return 1;
    }
    return 0;
}
