// SPDX-License-Identifier: GPL-2.0-or-later
// Programs and their packets, measured in turn; and what a packet of each costs.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "bench/meter.hpp"
#include "vnfs/vnf.hpp"

namespace evnf::bench
{

// Nanoseconds for each packet of a case; net is less the floor.
struct Row {
    std::string id;   // in this program
    std::string text; // for people and reports
    Traffic traffic;
    Figures gross, net;
};

class Cases
{
public:
    // Without a program: the empty one, the floor of the cases of this traffic, which is to be
    // added before them.
    Result<> add(const std::string &id, const std::string &text, const Traffic &traffic,
                 Result<std::shared_ptr<Program>> program);
    Result<> add_floor(const Traffic &traffic);

    // Rounds of samples of every case until the time is over, so that a slow spell hits them
    // all. Refuses if any packet did not go the way that is measured.
    Result<> measure(std::chrono::milliseconds time);
    [[nodiscard]] std::vector<Row> rows() const;

private:
    struct Case {
        std::string id, text;
        Traffic traffic;
        std::size_t floor; // its number
        Meter meter;
    };
    std::vector<Case> cases_;
    std::size_t floor_ = 0;
};

// To be what Cases::add takes.
template <class P>
Result<std::shared_ptr<Program>> shared(Result<std::unique_ptr<P>> program)
{
    if (!program)
        return program.error();
    return std::shared_ptr<Program>(*std::move(program));
}

json results_of(const std::string &bench, const std::vector<Row> &rows);
std::string text_of(const std::vector<Row> &rows);

} // namespace evnf::bench
