// SPDX-License-Identifier: GPL-2.0-or-later
#include "bench/report.hpp"

#include <sched.h>
#include <sys/utsname.h>

#include <cstdio>
#include <ctime>
#include <fstream>

namespace evnf::bench
{

namespace
{

const std::vector<std::string> figure_names{"min", "p10", "median"};

std::string cpu_model()
{
    std::ifstream in("/proc/cpuinfo");
    for (std::string line; std::getline(in, line);)
        if (line.starts_with("model name"))
            return line.substr(line.find(": ") + 2);
    return "unknown";
}

// The cost of one packet in a case, of one kind (gross, net) and figure (min, …).
class Costs
{
public:
    Costs(const json &cases, unsigned flows) : cases_(cases), flows_(flows) {}

    [[nodiscard]] double operator()(const std::string &id, const char *kind,
                                    const std::string &figure) const
    {
        for (const auto &c : cases_)
            if (c["id"] == id && c["flows"] == flows_)
                return c[kind][figure];
        return 0;
    }

private:
    const json &cases_;
    unsigned flows_;
};

// A chain beside the same work in another form.
json comparison(const std::string &text, const std::function<double(const std::string &)> &other,
                const std::function<double(const std::string &)> &chain)
{
    json out{{"against", text}};
    for (const auto &figure : figure_names) {
        const double ns = other(figure);
        out[figure] = {{"other_ns", ns},
                       {"chain_ns", chain(figure)},
                       {"saving_percent", ns > 0 ? 100 * (1 - chain(figure) / ns) : 0}};
    }
    return out;
}

json comparisons(const Costs &cost)
{
    auto of = [&](const char *id, const char *kind) {
        return [&cost, id, kind](const std::string &f) { return cost(id, kind, f); };
    };
    auto two = [&](const char *kind) {
        return [&cost, kind](const std::string &f) {
            return cost("efw", kind, f) + cost("elb", kind, f);
        };
    };
    auto one_forwarder = [&](const std::string &f) {
        return two("net")(f) - (cost("forward", "net", f) - cost("parse", "net", f));
    };
    return json::array({
        comparison("two programs, gross: as measured, the floor in each", two("gross"),
                   of("efw_elb", "gross")),
        comparison("two programs, net: each less the floor", two("net"), of("efw_elb", "net")),
        comparison("two programs, net, only one of them forwards", one_forwarder,
                   of("efw_elb", "net")),
        comparison("one program without tail calls, net", of("linked", "net"),
                   of("efw_elb", "net")),
    });
}

constexpr std::size_t text_width = 52;

std::string case_rows(const json &report, unsigned flows)
{
    std::string out;
    for (const auto &c : report["cases"]) {
        if (c["flows"] != flows)
            continue;
        out += "  " + padded(c["text"], text_width - 2);
        for (const char *kind : {"gross", "net"}) {
            for (const auto &figure : figure_names)
                out += number(c[kind][figure], 7, 1);
            out += "   ";
        }
        out += number(c["samples"], 7) + "\n";
    }
    return out;
}

std::string comparison_rows(const json &set)
{
    std::string out;
    for (const auto &c : set["against"]) {
        out += "  " + padded(c["against"], text_width - 2);
        for (const auto &figure : {"min", "median"}) {
            const auto &f = c[figure];
            out += number(f["other_ns"], 8, 1) + " ->" + number(f["chain_ns"], 6, 1) +
                   number(f["saving_percent"], 7, 1) + " %";
        }
        out += "\n";
    }
    return out;
}

} // namespace

json environment()
{
    utsname name{};
    ::uname(&name);
    const std::time_t now = std::time(nullptr);
    char date[32];
    std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", std::gmtime(&now));
    return {{"kernel", std::string(name.release) + " " + name.machine},
            {"cpu", cpu_model()},
            {"date", date}};
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

json report_of(const std::vector<Case> &cases)
{
    json out = environment();
    out["frame_bytes"] = cases.front().traffic.size;
    out["unit"] = "nanoseconds for each packet";
    out["cases"] = json::array();
    json floor;
    std::vector<unsigned> flows;
    for (const auto &c : cases) {
        const Figures f = figures_of(c.meter.samples());
        const json gross{{"min", f.min}, {"p10", f.p10}, {"median", f.median}};
        if (c.id == "empty") {
            floor = gross;
            flows.push_back(c.traffic.flows);
        }
        json net;
        for (const auto &figure : figure_names)
            net[figure] = gross[figure].get<double>() - floor[figure].get<double>();
        out["cases"].push_back({{"id", c.id},
                                {"text", c.text},
                                {"flows", c.traffic.flows},
                                {"samples", c.meter.samples().size()},
                                {"gross", gross},
                                {"net", net}});
    }
    out["comparisons"] = json::array();
    for (const unsigned n : flows)
        out["comparisons"].push_back(
            {{"flows", n}, {"against", comparisons(Costs(out["cases"], n))}});
    return out;
}

std::string text_of(const json &report)
{
    std::string out =
        "Nanoseconds for each packet of " + std::to_string(report["frame_bytes"].get<unsigned>()) +
        " bytes; net: less " + "the floor\n" + report["cpu"].get<std::string>() + ", Linux " +
        report["kernel"].get<std::string>() + ", " + report["date"].get<std::string>() + "\n";
    for (const auto &set : report["comparisons"]) {
        const unsigned flows = set["flows"];
        out +=
            "\n" + padded(std::to_string(flows) + (flows == 1 ? " flow" : " flows"), text_width) +
            "    min    p10    med       min    p10    med   samples\n" + padded("", text_width) +
            "          gross                    net\n" + case_rows(report, flows) + "\n" +
            padded("The chain efw, elb saves against", text_width) +
            "   minimum                     median\n" + comparison_rows(set);
    }
    return out;
}

Result<> settle()
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<unsigned>(::sched_getcpu()), &one);
    if (::sched_setaffinity(0, sizeof one, &one))
        return sys_error("stay on one CPU");
    if (::unshare(CLONE_NEWNET))
        return sys_error("make a network namespace (this needs root)");
    return Unit{};
}

Result<> write_report(const std::string &path, const json &report)
{
    if (path.empty())
        return Unit{};
    std::ofstream file(path);
    file << report.dump(2) << "\n";
    file.close();
    return file ? Result<>(Unit{}) : sys_error("write " + path);
}

} // namespace evnf::bench
