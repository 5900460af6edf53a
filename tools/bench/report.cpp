// SPDX-License-Identifier: GPL-2.0-or-later
#include "bench/report.hpp"

#include <cstdio>
#include <fstream>

#include "bench/environment.hpp"

namespace evnf::bench
{

namespace
{

std::string command_line()
{
    std::ifstream in("/proc/self/cmdline");
    std::string out;
    for (std::string word; std::getline(in, word, '\0');)
        out += (out.empty() ? "" : " ") + word;
    return out;
}

} // namespace

json result_of(const About &about, Better better, const Figures &f)
{
    return {{"bench", about.bench},
            {"case", about.text},
            {"measure", about.measure},
            {"parameters", about.parameters},
            {"unit", about.unit},
            {"better", better == Better::lower ? "lower" : "higher"},
            {"value", f.median},
            {"min", f.min},
            {"p10", f.p10},
            {"p90", f.p90},
            {"max", f.max},
            {"n", f.samples}};
}

json result_of(const About &about, Better better, double value)
{
    return result_of(about, better, figures_of({value}));
}

Result<> write_report(const std::string &path, json results)
{
    if (path.empty())
        return Unit{};
    json report = environment();
    report["commands"] = json::array({command_line()});
    report["results"] = std::move(results);
    std::ofstream file(path);
    file << report.dump(1) << "\n";
    file.close();
    return file ? Result<>(Unit{}) : sys_error("write " + path);
}

std::string where()
{
    const json e = environment();
    return e["machine"]["cpu"].get<std::string>() + ", Linux " + e["kernel"].get<std::string>() +
           ", " + e["date"].get<std::string>() + ", eVNF " +
           e["versions"]["evnf"].get<std::string>();
}

std::string number(double value, int width, int decimals)
{
    char text[32];
    std::snprintf(text, sizeof text, "%*.*f", width, decimals, value);
    return text;
}

std::string padded(const std::string &text, std::size_t width)
{
    return text + std::string(text.size() < width ? width - text.size() : 0, ' ');
}

} // namespace evnf::bench
