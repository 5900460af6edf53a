// SPDX-License-Identifier: GPL-2.0-or-later
#include "bench/cores.hpp"

#include <sched.h>

#include <barrier>
#include <iostream>
#include <thread>

#include "bench/cases.hpp"
#include "bench/report.hpp"
#include "bench/subject.hpp"
#include "vnfs/elb/abi.h"

namespace evnf::bench
{

namespace
{

constexpr unsigned flows = 60'000; // of each core
constexpr unsigned size = 64;
constexpr unsigned rounds = 4;
constexpr unsigned most_cores = 2;   // more clients would be beyond the network that is theirs
constexpr unsigned clients_of = 100; // addresses from one core's clients to the next one's

// What one core does.
struct Work {
    Meter floor, meter;
    Result<> went = Unit{};
};

// So many cores, and their work.
struct Crew {
    unsigned cores;
    std::vector<Work> work;
};

Result<> stay_on(unsigned core)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(core, &one);
    return ::sched_setaffinity(0, sizeof one, &one) ? sys_error("stay on one CPU")
                                                    : Result<>(Unit{});
}

Result<Crew> prepare(unsigned cores)
{
    auto chain = shared(Subject::chain(
        {{"efw", efw_section(11), NEXT}, {"elb", elb_section(cores * flows), ELB_NEXT_BACKEND}},
        End::forward));
    if (!chain)
        return chain.error();
    Crew crew{cores, {}};
    for (unsigned core = 0; core < cores; ++core) {
        const Traffic traffic{flows, size, 4, false, 1 + core * clients_of};
        auto floor = Meter::prepare(nullptr, traffic);
        if (!floor)
            return floor.error();
        auto meter = Meter::prepare(*chain, traffic);
        if (!meter)
            return meter.error();
        crew.work.push_back({*std::move(floor), *std::move(meter)});
    }
    return crew;
}

void work(Work &mine, unsigned core, std::chrono::milliseconds time, std::barrier<> &begin)
{
    mine.went = stay_on(core);
    begin.arrive_and_wait();
    const auto end = std::chrono::steady_clock::now() + time;
    while (mine.went && std::chrono::steady_clock::now() < end) {
        mine.went = mine.floor.sample();
        if (mine.went)
            mine.went = mine.meter.sample();
    }
}

Result<> run(Crew &crew, std::chrono::milliseconds time)
{
    std::barrier begin(crew.cores);
    std::vector<std::thread> threads;
    for (unsigned core = 0; core < crew.cores; ++core)
        threads.emplace_back([&, core] { work(crew.work[core], core, time, begin); });
    for (auto &thread : threads)
        thread.join();
    for (const auto &one : crew.work)
        if (!one.went)
            return one.went.error();
    return crew.work[0].meter.check();
}

// Of all cores together.
Figures net_of(const Crew &crew)
{
    std::vector<double> floor, samples;
    for (const auto &one : crew.work) {
        floor.insert(floor.end(), one.floor.samples().begin(), one.floor.samples().end());
        samples.insert(samples.end(), one.meter.samples().begin(), one.meter.samples().end());
    }
    return net_of(figures_of(std::move(samples)), figures_of(std::move(floor)));
}

} // namespace

Result<json> measure_cores(std::chrono::milliseconds time)
{
    std::vector<Crew> crews;
    for (unsigned cores = 1; cores <= std::min(most_cores, std::thread::hardware_concurrency());
         ++cores) {
        auto crew = prepare(cores);
        if (!crew)
            return crew.error();
        crews.push_back(*std::move(crew));
    }
    for (unsigned round = 0; round < rounds; ++round)
        for (auto &crew : crews)
            if (auto r = run(crew, time / rounds / crews.size()); !r)
                return r.error();
    std::cout << "\ncores  efw -> elb, a packet on each: ns min    p10    med    p90\n";
    json out = json::array();
    for (const auto &crew : crews) {
        const Figures net = net_of(crew);
        std::cout << number(crew.cores, 5) << padded("", 34) << number(net.min, 7, 1)
                  << number(net.p10, 7, 1) << number(net.median, 7, 1) << number(net.p90, 7, 1)
                  << "\n";
        out.push_back(result_of({.bench = "scale",
                                 .text = "cores, efw -> elb",
                                 .measure = "packet on each, net",
                                 .parameters = {{"cores", crew.cores}, {"flows", flows}},
                                 .unit = "ns"},
                                Better::lower, net));
    }
    return out;
}

} // namespace evnf::bench
