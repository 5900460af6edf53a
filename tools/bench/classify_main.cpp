// SPDX-License-Identifier: GPL-2.0-or-later
// evnf-bench-classify: how many new flows one core learns the application of, and what is lost
// when there are more. Packets go through the real programs; one worker has their copies, by a
// ring of the size that a worker's has.
#include <time.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <thread>

#include "bench/conversations.hpp"
#include "bench/report.hpp"
#include "vnfs/edpi/offline.hpp"
#include "vnfs/edpi/section.hpp"

namespace evnf::bench
{

namespace
{

using Clock = std::chrono::steady_clock;
using edpi::Offline;

struct Options {
    std::vector<unsigned> rates{10'000, 20'000, 40'000, 80'000};
    unsigned flows = 50'000; // of the measurement without a rate
    double seconds = 3;      // of each rate
    std::string captures, json_file;
};

struct Outcome {
    double offered = 0, reached = 0; // flows per second; offered 0: as fast as they are inspected
    std::uint64_t flows = 0, packets = 0, known = 0, incomplete = 0; // a copy of it was lost
    double worker_us = 0;   // of CPU for each flow: ring, nDPI, facts
    double worker_core = 0; // share of a core that a worker beside the sender has had
};

double thread_us()
{
    timespec t{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_nsec) / 1e3;
}

std::uint64_t now_ms()
{
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now().time_since_epoch())
            .count());
}

Result<std::unique_ptr<Offline>> start(std::uint64_t flows)
{
    const auto size = std::max<std::uint64_t>(1024, flows + flows / 8);
    auto section = edpi::check_section({{"flows", size}}, nullptr);
    return section ? Offline::start(*section) : section.error();
}

// What became of each flow.
void look(const edpi::Table &table, Outcome &o)
{
    for (std::uint32_t slot = 0; slot < table.size(); ++slot) {
        if (!table.is_flow(slot))
            continue;
        const edpi_flow f = table.flow(slot);
        o.known += f.master || f.app;
        o.incomplete += (f.seen & EDPI_SEEN_COPY_LOST) != 0;
    }
}

// Each flow by itself: nothing is lost, and the worker never waits.
Result<Outcome> in_turn(const std::vector<Conversation> &what, unsigned flows)
{
    auto offline = start(flows);
    if (!offline)
        return offline.error();
    Outcome o;
    for (std::uint32_t n = 0; n < flows; ++n) {
        Conversation c = what[n % what.size()];
        take_client(c, n);
        for (const auto &frame : c)
            if (auto r = (*offline)->send(frame); !r)
                return r.error();
        const double before = thread_us();
        (*offline)->inspect(now_ms());
        o.worker_us += thread_us() - before;
        o.packets += c.size();
    }
    o.flows = flows;
    o.worker_us /= flows;
    look((*offline)->flows().table(), o);
    return o;
}

// As many in a second, if this machine can send them; a worker beside has what the ring holds.
Result<Outcome> offered(const std::vector<Conversation> &what, unsigned rate, double seconds)
{
    const auto flows = static_cast<std::uint32_t>(rate * seconds);
    auto offline = start(flows);
    if (!offline)
        return offline.error();
    Outcome o{.offered = static_cast<double>(rate), .flows = flows};
    std::atomic<bool> sent = false;
    double worker_us = 0;
    std::thread worker([&] {
        const double before = thread_us();
        for (bool last = false; !last;) {
            last = sent;
            (*offline)->inspect(now_ms());
        }
        worker_us = thread_us() - before;
    });
    const auto begin = Clock::now();
    Result<> all = Unit{};
    for (std::uint32_t n = 0; n < flows && all; ++n) {
        while (std::chrono::duration<double>(Clock::now() - begin).count() < n / double(rate))
            ;
        Conversation c = what[n % what.size()];
        take_client(c, n);
        for (const auto &frame : c)
            if (all = (*offline)->send(frame); !all)
                break;
        o.packets += c.size();
    }
    const auto passed = [&] { return std::chrono::duration<double>(Clock::now() - begin).count(); };
    o.reached = flows / passed();
    sent = true;
    worker.join();
    o.worker_core = worker_us / 1e6 / passed();
    if (!all)
        return all.error();
    look((*offline)->flows().table(), o);
    return o;
}

// Of one rate, or of flows one by one; each is one look.
void add_results(json &to, const Options &given, const Outcome &o)
{
    const std::string what = given.captures.empty() ? "DNS, HTTP and TLS" : "captures";
    const auto percent = [&](std::uint64_t part) {
        return 100.0 * static_cast<double>(part) / static_cast<double>(o.flows);
    };
    const auto add = [&](const char *measure, const char *unit, Better better, double value) {
        json parameters{{"flows", what}};
        if (o.offered > 0)
            parameters["offered_per_second"] = o.offered;
        to.push_back(result_of({.bench = "classify",
                                .text = o.offered > 0 ? "flows at a rate" : "flows one by one",
                                .measure = measure,
                                .parameters = std::move(parameters),
                                .unit = unit},
                               better, value));
    };
    add("known", "%", Better::higher, percent(o.known));
    if (o.offered > 0) {
        add("reached", "flows/s", Better::higher, o.reached);
        add("flows with lost copies", "%", Better::lower, percent(o.incomplete));
    } else {
        add("worker's CPU for each flow", "us", Better::lower, o.worker_us);
    }
}

Result<json> run(const Options &given)
{
    auto what = given.captures.empty() ? Result<std::vector<Conversation>>(made_conversations())
                                       : captured_conversations(given.captures, 25);
    if (!what)
        return what.error();
    auto alone = in_turn(*what, given.flows);
    if (!alone)
        return alone.error();
    const auto share = [](std::uint64_t part, const Outcome &of) {
        return 100.0 * static_cast<double>(part) / static_cast<double>(of.flows);
    };
    std::printf("%llu flows of %.1f packets: %.1f us of a core each, %.0f flows/s for each core; "
                "%.1f %% are known\n\n",
                static_cast<unsigned long long>(alone->flows),
                static_cast<double>(alone->packets) / static_cast<double>(alone->flows),
                alone->worker_us, 1e6 / alone->worker_us, share(alone->known, *alone));
    json out = json::array();
    add_results(out, given, *alone);
    std::printf("%12s %12s %10s %24s %16s\n", "OFFERED/S", "REACHED/S", "KNOWN",
                "FLOWS WITH LOST COPIES", "WORKER'S CORE");
    for (const unsigned rate : given.rates) {
        auto o = offered(*what, rate, given.seconds);
        if (!o)
            return o.error();
        std::printf("%12u %12.0f %8.1f %% %22.1f %% %14.0f %%\n", rate, o->reached,
                    share(o->known, *o), share(o->incomplete, *o), 100 * o->worker_core);
        std::fflush(stdout);
        add_results(out, given, *o);
    }
    return out;
}

} // namespace

} // namespace evnf::bench

int main(int argc, char **argv)
{
    using namespace evnf;
    bench::Options given;
    CLI::App app{"How many new flows one core classifies in a second, and what is lost beyond"};
    app.add_option("--rates", given.rates, "flows offered in a second (10000,20000,40000,80000)")
        ->delimiter(',')
        ->check(CLI::Range(1, 1'000'000));
    app.add_option("--seconds", given.seconds, "of each rate (3)")->check(CLI::Range(0.1, 3600.0));
    app.add_option("--flows", given.flows, "of the measurement without a rate (50000)")
        ->check(CLI::Range(1, 1 << 24));
    app.add_option("--captures", given.captures,
                   "a capture or a folder of them: flows begin as those there; otherwise a third "
                   "each of DNS, HTTP and TLS");
    app.add_option("--json", given.json_file, "every number, there");
    CLI11_PARSE(app, argc, argv);
    auto results = bench::run(given);
    auto written = results ? bench::write_report(given.json_file, *std::move(results))
                           : Result<>(results.error());
    if (!written) {
        std::cerr << "evnf-bench-classify: " << written.error().message() << "\n";
        return 1;
    }
    return 0;
}
