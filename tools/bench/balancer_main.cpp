// SPDX-License-Identifier: GPL-2.0-or-later
// evnf-bench-balancer: what a packet costs that elb balances, of an established connection and
// of a new one, by how many there are; beside another balancer's program, if one is given.
#include <linux/bpf.h>

#include <CLI/CLI.hpp>
#include <bit>
#include <iostream>

#include "bench/balancer_connections.hpp"
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
    unsigned seconds = 60;
    PeerOptions peer{{}, {}, XDP_TX, {}};
    std::string json_file;
    bool only_connections = false, only_reweighting = false;
};

Result<std::shared_ptr<Program>> ours(unsigned flows)
{
    auto subject = Subject::chain({{"elb", elb_section(flows), ELB_NEXT_BACKEND}}, End::forward);
    if (!subject)
        return subject.error();
    return std::shared_ptr<Program>(*std::move(subject));
}

Result<std::shared_ptr<Program>> theirs(const PeerOptions &options)
{
    auto peer = load_peer(options);
    if (!peer)
        return peer.error();
    return std::shared_ptr<Program>(*std::move(peer));
}

class Preparation
{
public:
    explicit Preparation(const Options &options) : options_(options) {}

    Result<> add(const std::string &id, const std::string &text, const Traffic &traffic,
                 Result<std::shared_ptr<Program>> program)
    {
        if (!program)
            return std::move(program).context(text).error();
        auto meter = Meter::prepare(*std::move(program), traffic);
        if (!meter)
            return std::move(meter).context(text).error();
        cases.push_back({id, text, traffic, *std::move(meter)});
        return Unit{};
    }

    Result<> add_all(unsigned flows)
    {
        const unsigned size = 64;
        const Traffic established{flows, size}, opening{flows, size, 4, true};
        if (auto r =
                add("empty", "empty program: the floor", established, std::shared_ptr<Program>());
            !r)
            return r;
        if (auto r = add("established", "root -> elb -> forward", established, ours(flows)); !r)
            return r;
        // Tables for fewer: each is new again when its turn comes. But for one, whose SYN is sent
        // again and again.
        const std::string what = flows == 1 ? "a SYN again" : "new connections";
        if (auto r = add("new", "the same, " + what, opening, ours(flows / 32)); !r)
            return r;
        if (options_.peer.object.empty())
            return Unit{};
        const std::string &name = options_.peer.program;
        if (auto r = add("peer_established", name, established, theirs(options_.peer)); !r)
            return r;
        return add("peer_new", name + ", " + what, opening, theirs(options_.peer));
    }

    std::vector<Case> cases;

private:
    const Options &options_;
};

json figures(const Figures &f, const Figures &less)
{
    return {
        {"min", f.min - less.min}, {"p10", f.p10 - less.p10}, {"median", f.median - less.median}};
}

json report(const std::vector<Case> &cases)
{
    json out{{"environment", environment()}, {"cases", json::array()}};
    Figures floor;
    for (const auto &c : cases) {
        const Figures f = figures_of(c.meter.samples());
        if (c.id == "empty")
            floor = f;
        out["cases"].push_back({{"id", c.id},
                                {"text", c.text},
                                {"flows", c.traffic.flows},
                                {"gross", figures(f, {})},
                                {"net", figures(f, floor)},
                                {"samples", c.meter.samples().size()}});
    }
    return out;
}

std::string text_of_report(const json &report)
{
    constexpr std::size_t width = 52;
    std::string out;
    unsigned flows = 0;
    for (const auto &c : report["cases"]) {
        if (c["flows"] != flows) {
            flows = c["flows"];
            out += "\n" + padded(std::to_string(flows) + (flows == 1 ? " flow" : " flows"), width) +
                   "  gross: min    p10    med    net: min    p10    med  samples\n";
        }
        out += "  " + padded(c["text"], width - 2) + "   ";
        for (const char *kind : {"gross", "net"}) {
            for (const char *figure : {"min", "p10", "median"})
                out += number(c[kind][figure], 7, 1);
            out += "     ";
        }
        out += number(c["samples"], 7) + "\n";
    }
    return out;
}

Result<> tell(const Options &options, const Result<json> &report,
              std::string (*text)(const json &report))
{
    if (!report)
        return report.error();
    std::cout << text(*report);
    return write_report(options.json_file, *report);
}

Result<> run(const Options &options)
{
    if (auto r = settle(); !r)
        return r;
    if (options.only_connections)
        return tell(options,
                    measure_connections({1'000, 10'000, 100'000, 1'000'000},
                                        std::chrono::seconds(options.seconds)),
                    text_of_connections);
    if (options.only_reweighting)
        return tell(options, measure_reweighting(20), text_of_reweighting);
    Preparation preparation(options);
    for (const unsigned flows : options.flows)
        if (auto r = preparation.add_all(flows); !r)
            return r;
    if (auto r = measure(preparation.cases, std::chrono::seconds(options.seconds)); !r)
        return r;
    return tell(options, report(preparation.cases), text_of_report);
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
    auto *object = app.add_option("--object", options.peer.object,
                                  "Another balancer's object file, to be measured beside elb")
                       ->check(CLI::ExistingFile);
    app.add_option("--prog", options.peer.program, "Its program")->needs(object);
    app.add_option("--verdict", options.peer.verdict,
                   "What it gives a balanced packet: 3 is XDP_TX")
        ->needs(object)
        ->capture_default_str();
    app.add_option("--map", options.peer.entries,
                   "What a map of it must hold: NAME:KEY=VALUE in hexadecimal, or NAME:KEY=new")
        ->needs(object);
    app.add_flag("--connections", options.only_connections,
                 "Only what connections cost by their number: to open, to find, in memory");
    app.add_flag("--reweight", options.only_reweighting,
                 "Only what it costs to change all weights at once");
    app.add_option("--json", options.json_file, "Write the numbers to this file too");
    CLI11_PARSE(app, argc, argv);

    if (auto r = evnf::bench::run(options); !r) {
        std::cerr << "evnf-bench-balancer: " << r.error().message() << "\n";
        return 1;
    }
    return 0;
}
