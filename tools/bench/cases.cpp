// SPDX-License-Identifier: GPL-2.0-or-later
#include "bench/cases.hpp"

#include "bench/report.hpp"

namespace evnf::bench
{

namespace
{

constexpr std::size_t text_width = 52;

} // namespace

Result<> Cases::add(const std::string &id, const std::string &text, const Traffic &traffic,
                    Result<std::shared_ptr<Program>> program)
{
    if (!program)
        return std::move(program).context(text).error();
    auto meter = Meter::prepare(*std::move(program), traffic);
    if (!meter)
        return std::move(meter).context(text).error();
    cases_.push_back({id, text, traffic, floor_, *std::move(meter)});
    return Unit{};
}

Result<> Cases::add_floor(const Traffic &traffic)
{
    floor_ = cases_.size();
    return add("empty", "empty program: the floor", traffic, std::shared_ptr<Program>());
}

Result<> Cases::measure(std::chrono::milliseconds time)
{
    const auto end = std::chrono::steady_clock::now() + time;
    do {
        for (auto &c : cases_)
            if (auto r = c.meter.sample(); !r)
                return std::move(r).context(c.text);
    } while (std::chrono::steady_clock::now() < end);
    for (const auto &c : cases_)
        if (auto r = c.meter.check(); !r)
            return std::move(r).context(c.text);
    return Unit{};
}

std::vector<Row> Cases::rows() const
{
    std::vector<Row> out;
    for (const auto &c : cases_) {
        const Figures gross = figures_of(c.meter.samples());
        out.push_back({c.id, c.text, c.traffic, gross,
                       net_of(gross, figures_of(cases_[c.floor].meter.samples()))});
    }
    return out;
}

json results_of(const std::string &bench, const std::vector<Row> &rows)
{
    json out = json::array();
    for (const auto &row : rows) {
        const bool floor = row.id == "empty";
        out.push_back(result_of({.bench = bench,
                                 .text = row.text,
                                 .measure = floor ? "packet, gross" : "packet, net",
                                 .parameters = {{"family", row.traffic.family},
                                                {"bytes", frame_size(row.traffic)},
                                                {"flows", row.traffic.flows}},
                                 .unit = "ns"},
                                Better::lower, floor ? row.gross : row.net));
    }
    return out;
}

std::string text_of(const std::vector<Row> &rows)
{
    std::string out;
    for (const auto &row : rows) {
        if (row.id == "empty") {
            const std::string head = std::to_string(row.traffic.flows) +
                                     (row.traffic.flows == 1 ? " flow, " : " flows, ") +
                                     std::to_string(frame_size(row.traffic)) + " bytes, IPv" +
                                     std::to_string(row.traffic.family);
            out += "\n" + padded(head, text_width) +
                   " gross: min    p10    med   net: min    p10    med    p90  samples\n";
        }
        out += "  " + padded(row.text, text_width - 2) + "  ";
        for (const double ns : {row.gross.min, row.gross.p10, row.gross.median})
            out += number(ns, 7, 1);
        out += "    ";
        for (const double ns : {row.net.min, row.net.p10, row.net.median, row.net.p90})
            out += number(ns, 7, 1);
        out += number(static_cast<double>(row.gross.samples), 9) + "\n";
    }
    return out;
}

} // namespace evnf::bench
