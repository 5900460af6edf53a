// SPDX-License-Identifier: GPL-2.0-or-later
#include "bench/connections.hpp"

#include <fstream>
#include <iostream>

#include "bench/cases.hpp"
#include "bench/report.hpp"
#include "bench/subject.hpp"
#include "vnfs/elb/abi.h"

namespace evnf::bench
{

namespace
{

constexpr unsigned rounds = 3; // of opening them all
constexpr unsigned size = 64;  // of a frame

// Of one number of connections.
struct Measured {
    unsigned flows = 0;
    std::vector<double> first, last; // of each round: see Opening
    json memory;                     // bytes, by map
    unsigned room = 0;
};

Result<std::uint64_t> bytes_of(int fd)
{
    std::ifstream info("/proc/self/fdinfo/" + std::to_string(fd));
    for (std::string word; info >> word;)
        if (std::uint64_t bytes = 0; word == "memlock:" && info >> bytes)
            return bytes;
    return Error{.what = "the kernel does not say what a map takes"};
}

Result<> look_at_memory(const Subject &subject, Measured &to)
{
    for (const char *name : {"elb_conns", "elb_openings", "elb_lines"}) {
        auto fd = subject.map(name);
        if (!fd)
            return fd.error();
        auto bytes = bytes_of(*fd);
        if (!bytes)
            return bytes.error();
        to.memory[name] = *bytes;
    }
    return Unit{};
}

// Opens them all.
Result<std::shared_ptr<Program>> open(Measured &to)
{
    const json section = elb_section(to.flows);
    to.room = section["connections"];
    auto subject = Subject::chain({{"elb", section, ELB_NEXT_BACKEND}}, End::forward);
    if (!subject)
        return subject.error();
    if (auto r = look_at_memory(**subject, to); !r)
        return r.error();
    return shared(std::move(subject));
}

Result<> open_and_forget(Measured &to)
{
    auto subject = open(to);
    if (!subject)
        return subject.error();
    auto meter = Meter::prepare(*subject, Traffic{to.flows, size});
    if (!meter)
        return meter.error();
    to.first.push_back(meter->opening().first);
    to.last.push_back(meter->opening().last);
    return Unit{};
}

// Whole nanoseconds of a run, in which is what the measurement costs.
Figures opening_of(const std::vector<double> &ns_of_rounds, const Row &floor)
{
    Figures out = figures_of(ns_of_rounds);
    for (double *ns : {&out.min, &out.p10, &out.median, &out.p90, &out.max})
        *ns -= floor.gross.min;
    return out;
}

json results_of(const Measured &m, const Row &row, const Figures &first, const Figures &last)
{
    json out = json::array();
    const auto add = [&](const char *measure, const char *unit, const auto &figures) {
        out.push_back(result_of({.bench = "scale",
                                 .text = "connections of elb",
                                 .measure = measure,
                                 .parameters = {{"connections", m.flows}},
                                 .unit = unit},
                                Better::lower, figures));
    };
    add("the first packet, placed", "ns", first);
    add("the packet that establishes it", "ns", last);
    add("packet, net", "ns", row.net);
    add("memory for each that there is room for", "bytes",
        m.memory["elb_conns"].get<double>() / m.room);
    return out;
}

std::string line(const Measured &m, const Row &row, const Figures &first, const Figures &last)
{
    const auto megabytes = [&](const char *map) {
        return number(m.memory[map].get<double>() / 1e6, 8, 1);
    };
    return number(m.flows, 11) + number(first.min, 9) + number(last.min, 11) +
           number(1e9 / (first.min + last.min), 13) + number(row.net.min, 8) + " /" +
           number(row.net.median, 4) + megabytes("elb_conns") +
           number(m.memory["elb_conns"].get<double>() / m.room, 6) + megabytes("elb_openings") +
           megabytes("elb_lines") + "\n";
}

} // namespace

Result<json> measure_connections(const std::vector<unsigned> &flows, std::chrono::milliseconds time)
{
    std::vector<Measured> all;
    for (const unsigned n : flows)
        all.push_back({n, {}, {}, json::object(), 0});
    for (unsigned round = 0; round < rounds; ++round)
        for (auto &one : all)
            if (auto r = open_and_forget(one); !r)
                return r.error();
    Cases cases;
    if (auto r = cases.add_floor(Traffic{1, size}); !r)
        return r.error();
    for (auto &one : all)
        if (auto r = cases.add("established", "", Traffic{one.flows, size}, open(one)); !r)
            return r.error();
    if (auto r = cases.measure(time); !r)
        return r.error();

    std::cout << "\n             ns: SYN   ACK that      opened   packet of an     elb_conns  "
                 "elb_openings\n"
                 "connections   placed establishes  per second  established one  MB  each   MB     "
                 " lines\n";
    const auto rows = cases.rows();
    json out = json::array();
    for (std::size_t i = 0; i < all.size(); ++i) {
        const Figures first = opening_of(all[i].first, rows[0]);
        const Figures last = opening_of(all[i].last, rows[0]);
        std::cout << line(all[i], rows[i + 1], first, last);
        for (auto &one : results_of(all[i], rows[i + 1], first, last))
            out.push_back(std::move(one));
    }
    return out;
}

} // namespace evnf::bench
