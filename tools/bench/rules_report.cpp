// SPDX-License-Identifier: GPL-2.0-or-later
#include "bench/rules_report.hpp"

#include <utility>

#include "bench/report.hpp"

namespace evnf::bench
{

namespace
{

constexpr std::size_t text_width = 38;

json figures_json(const Figures &f)
{
    return {{"min", f.min}, {"p10", f.p10}, {"median", f.median}};
}

Figures less(const Figures &a, const Figures &b)
{
    return {a.min - b.min, a.p10 - b.p10, a.median - b.median};
}

json change_json(const Change &c)
{
    return {{"edit", c.edit}, {"apply", c.apply}, {"keep", c.keep}};
}

std::string change_text(const std::string &what, const Change &c)
{
    return what + number(c.edit + c.apply + c.keep, 8, 1) + " = edit" + number(c.edit, 7, 2) +
           " + apply" + number(c.apply, 7, 2) + " + keep" + number(c.keep, 7, 2);
}

} // namespace

RulesReport::RulesReport() : report_(environment())
{
    report_["unit"] = "nanoseconds for each packet; of changes, milliseconds";
    report_["cases"] = report_["changes"] = json::array();
    text_ = "Nanoseconds for each packet, net of the floor; of changes, milliseconds\n" +
            report_["cpu"].get<std::string>() + ", Linux " + report_["kernel"].get<std::string>() +
            ", " + report_["date"].get<std::string>() + "\n";
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
        const Figures net = less(c.gross, floor[c.traffic.flows]);
        if (!row || row->id != c.id || row->rules != c.rules) {
            text_ += "\n  " + padded(c.text, text_width - 2) +
                     (c.rules ? number(static_cast<double>(c.rules), 8) : padded("", 8));
            row = &c;
        }
        const Figures &shown = c.id == "empty" ? c.gross : net;
        text_ += number(shown.min, 8, 1) + number(shown.median, 7, 1);
        report_["cases"].push_back({{"shape", shape_text(shape)},
                                    {"family", family},
                                    {"id", c.id},
                                    {"rules", c.rules},
                                    {"flows", c.traffic.flows},
                                    {"samples", c.samples},
                                    {"gross", figures_json(c.gross)},
                                    {"net", figures_json(net)}});
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
    report_["changes"].push_back({{"shape", shape_text(shape)},
                                  {"family", family},
                                  {"rules", rules},
                                  {"bytes", c.bytes},
                                  {"compile", c.compile},
                                  {"add_one", change_json(c.add_one)},
                                  {"delete_one", change_json(c.delete_one)},
                                  {"replace_all", change_json(c.replace_all)}});
}

std::string RulesReport::take_text()
{
    return std::exchange(text_, "");
}

} // namespace evnf::bench
