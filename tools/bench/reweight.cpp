// SPDX-License-Identifier: GPL-2.0-or-later
#include "bench/reweight.hpp"

#include <algorithm>
#include <chrono>
#include <iostream>
#include <random>

#include "base/bpf.hpp"
#include "bench/report.hpp"

namespace evnf::bench
{

namespace
{

using Clock = std::chrono::steady_clock;

struct Size {
    unsigned services, backends; // of each
};

// Milliseconds.
struct Took {
    Figures edit, apply;
};

json services_of(const Size &size, std::mt19937 &random)
{
    json out = json::array();
    for (unsigned s = 0; s < size.services; ++s) {
        json backends = json::array();
        for (unsigned b = 0; b < size.backends; ++b)
            backends.push_back(
                {{"address", "10." + std::to_string(s) + "." + std::to_string(b / 250) + "." +
                                 std::to_string(1 + b % 250)},
                 {"port", 80},
                 {"weight", 50 + random() % 100}});
        out.push_back({{"address", "192.0.2." + std::to_string(1 + s)},
                       {"port", 80},
                       {"protocol", "tcp"},
                       {"backends", std::move(backends)}});
    }
    return out;
}

double since(Clock::time_point begin)
{
    return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

// As the daemon makes it of `PUT /v1/elb/services`: a section is made and checked, then put in
// force.
Result<Took> measure_one(const Size &size, unsigned rounds)
{
    std::mt19937 random(1);
    const VnfType &elb = *find_vnf("elb");
    const auto put = std::find_if(elb.routes.begin(), elb.routes.end(), [](const Route &r) {
        return r.method == "PUT" && r.pattern == "/services";
    });
    auto section = elb.check({{"service", services_of(size, random)}}, nullptr);
    if (!section)
        return section.error();
    bpf::MapSet maps("");
    auto fast_path = elb.load(maps, *section, nullptr);
    if (!fast_path)
        return fast_path.error();
    std::vector<double> edits, applies;
    for (unsigned i = 0; i < rounds; ++i) {
        const Request request{.words = {}, .body = {{"services", services_of(size, random)}}};
        const auto began = Clock::now();
        auto edit = put->edit(*section, request);
        if (!edit)
            return edit.error();
        auto next = elb.check(edit->section, *section);
        if (!next)
            return next.error();
        edits.push_back(since(began));
        const auto edited = Clock::now();
        if (auto r = (*fast_path)->apply(*next); !r)
            return r.error();
        applies.push_back(since(edited));
        section = std::move(next);
    }
    return Took{figures_of(std::move(edits)), figures_of(std::move(applies))};
}

json result(const Size &size, const char *measure, const Figures &took)
{
    return result_of(
        {.bench = "balancer",
         .text = "other weights for all backends",
         .measure = measure,
         .parameters = {{"services", size.services}, {"backends", size.backends * size.services}},
         .unit = "ms"},
        Better::lower, took);
}

std::string row(const Size &size, const Took &took)
{
    std::string out = number(size.services, 8) + number(size.backends * size.services, 10) + "   ";
    for (const Figures &part : {took.edit, took.apply}) {
        for (const double ms : {part.min, part.median, part.max})
            out += number(ms, 8, 2);
        out += "   ";
    }
    return out + "\n";
}

} // namespace

Result<json> measure_reweighting(unsigned rounds)
{
    json out = json::array();
    std::cout << where()
              << "\nmilliseconds            the request is checked       put in force\n"
                 "services  backends      min   median    max       min   median    max\n";
    for (const auto &size : {Size{1, 10}, {1, 100}, {1, 1000}, {100, 10}}) {
        auto one = measure_one(size, rounds);
        if (!one)
            return one.error();
        std::cout << row(size, *one) << std::flush;
        out.push_back(result(size, "the request is checked", one->edit));
        out.push_back(result(size, "put in force", one->apply));
    }
    return out;
}

} // namespace evnf::bench
