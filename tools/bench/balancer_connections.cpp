// SPDX-License-Identifier: GPL-2.0-or-later
#include "bench/balancer_connections.hpp"

#include <algorithm>
#include <fstream>

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
    Opening least; // of all rounds
    json memory;   // bytes, by map
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

void keep_least(Opening &least, const Opening &now)
{
    const auto keep = [](double &to, double ns) { to = to == 0 ? ns : std::min(to, ns); };
    keep(least.first, now.first);
    keep(least.last, now.last);
}

// Opens them all; gives what measures packets of theirs.
Result<Meter> open(Measured &to)
{
    const json section = elb_section(to.flows);
    to.room = section["connections"];
    auto subject = Subject::chain({{"elb", section, ELB_NEXT_BACKEND}}, End::forward);
    if (!subject)
        return subject.error();
    if (auto r = look_at_memory(**subject, to); !r)
        return r.error();
    auto meter =
        Meter::prepare(std::shared_ptr<Program>(*std::move(subject)), Traffic{to.flows, size});
    if (meter)
        keep_least(to.least, meter->opening());
    return meter;
}

} // namespace

Result<json> measure_connections(const std::vector<unsigned> &flows, std::chrono::seconds time)
{
    std::vector<Measured> all;
    for (const unsigned n : flows)
        all.push_back({n, {}, json::object(), 0});
    for (unsigned round = 1; round < rounds; ++round)
        for (auto &one : all)
            if (auto meter = open(one); !meter)
                return meter.error();
    std::vector<Case> cases;
    auto floor = Meter::prepare(nullptr, Traffic{1, size});
    if (!floor)
        return floor.error();
    cases.push_back({"empty", "", Traffic{1, size}, *std::move(floor)});
    for (auto &one : all) {
        auto meter = open(one);
        if (!meter)
            return meter.error();
        cases.push_back({"established", "", Traffic{one.flows, size}, *std::move(meter)});
    }
    if (auto r = measure(cases, time); !r)
        return r.error();

    const Figures empty = figures_of(cases[0].meter.samples());
    json out{{"environment", environment()}, {"connections", json::array()}};
    for (std::size_t i = 0; i < all.size(); ++i) {
        const Measured &m = all[i];
        const Figures f = figures_of(cases[i + 1].meter.samples());
        // What the measurement costs is in the whole nanoseconds of a run, too.
        const double first = m.least.first - empty.min, last = m.least.last - empty.min;
        out["connections"].push_back(
            {{"connections", m.flows},
             {"room", m.room},
             {"first_ns", first},
             {"establish_ns", last},
             {"packet_ns", {{"min", f.min - empty.min}, {"median", f.median - empty.median}}},
             {"memory", m.memory},
             {"bytes_each", m.memory["elb_conns"].get<double>() / m.room}});
    }
    return out;
}

std::string text_of_connections(const json &report)
{
    std::string out =
        "             ns: SYN   ACK that      opened   packet of an     elb_conns  elb_openings\n"
        "connections   placed establishes  per second  established one  MB  each   MB      lines\n";
    for (const auto &c : report["connections"]) {
        const double opens = c["first_ns"].get<double>() + c["establish_ns"].get<double>();
        const auto megabytes = [&](const char *map) {
            return number(c["memory"][map].get<double>() / 1e6, 8, 1);
        };
        out += number(c["connections"], 11) + number(c["first_ns"], 9) +
               number(c["establish_ns"], 11) + number(1e9 / opens, 13) +
               number(c["packet_ns"]["min"], 8) + " /" + number(c["packet_ns"]["median"], 4) +
               megabytes("elb_conns") + number(c["bytes_each"], 6) + megabytes("elb_openings") +
               megabytes("elb_lines") + "\n";
    }
    return out;
}

} // namespace evnf::bench
