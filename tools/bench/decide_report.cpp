// SPDX-License-Identifier: GPL-2.0-or-later
#include "bench/decide_report.hpp"

#include <utility>

#include "bench/report.hpp"

namespace evnf::bench
{

namespace
{

constexpr std::size_t text_width = 38;

// A change as a whole.
double total(const Change &c)
{
    return c.edit + c.apply + c.keep;
}

std::string change_text(const std::string &what, const Change &c)
{
    return what + number(total(c), 8, 1) + " = edit" + number(c.edit, 7, 2) + " + apply" +
           number(c.apply, 7, 2) + " + keep" + number(c.keep, 7, 2);
}

} // namespace

RulesReport::RulesReport()
    : text_(where() + "\nNanoseconds for each packet, net of the floor; of changes, milliseconds\n")
{
}

void RulesReport::add(Shape shape, int family, const std::vector<RulesCase> &cases)
{
    std::map<unsigned, Figures> floor; // by flows
    for (const auto &c : cases)
        if (c.id == "empty")
            floor[c.traffic.flows] = c.gross;
    text_ += "\n" +
             padded(std::string(shape_text(shape)) + ", IPv" + std::to_string(family), text_width) +
             "   rules";
    for (const auto &[flows, figures] : floor)
        text_ += number(flows, 9) + (flows == 1 ? " flow " : " flows");
    text_ += "\n" + padded("", text_width + 8);
    for (std::size_t i = 0; i < floor.size(); ++i)
        text_ += "     min    med";
    const RulesCase *row = nullptr; // of the text
    for (const auto &c : cases) {
        const Figures net = net_of(c.gross, floor[c.traffic.flows]);
        if (!row || row->id != c.id || row->rules != c.rules) {
            text_ += "\n  " + padded(c.text, text_width - 2) +
                     (c.rules ? number(static_cast<double>(c.rules), 8) : padded("", 8));
            row = &c;
        }
        const Figures &shown = c.id == "empty" ? c.gross : net;
        text_ += number(shown.min, 8, 1) + number(shown.median, 7, 1);
        const bool is_floor = c.id == "empty";
        results_.push_back(result_of({.bench = "decide",
                                      .text = c.text,
                                      .measure = is_floor ? "packet, gross" : "packet, net",
                                      .parameters = {{"shape", shape_text(shape)},
                                                     {"family", family},
                                                     {"rules", c.rules},
                                                     {"flows", c.traffic.flows}},
                                      .unit = "ns"},
                                     Better::lower, shown));
    }
    text_ += "\n\n";
}

void RulesReport::add(Shape shape, int family, std::size_t rules, const Changes &c)
{
    text_ += "  " + number(static_cast<double>(rules), 6) +
             " rules: " + number(static_cast<double>(c.bytes) / 1024, 7) + " KiB, compile" +
             number(c.compile, 7, 1) + change_text("; add one", c.add_one) +
             change_text("; delete one", c.delete_one) +
             change_text("; replace all", c.replace_all) + "\n";
    const auto result = [&](const char *what, const char *measure, const char *unit, double value) {
        results_.push_back(result_of(
            {.bench = "decide",
             .text = what,
             .measure = measure,
             .parameters = {{"shape", shape_text(shape)}, {"family", family}, {"rules", rules}},
             .unit = unit},
            Better::lower, value));
    };
    result("rules", "memory", "bytes", static_cast<double>(c.bytes));
    result("rules", "compile all", "ms", c.compile);
    result("rules", "add one", "ms", total(c.add_one));
    result("rules", "delete one", "ms", total(c.delete_one));
    result("rules", "replace all", "ms", total(c.replace_all));
}

std::string RulesReport::take_text()
{
    return std::exchange(text_, "");
}

} // namespace evnf::bench
