// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/cli_netfilter.hpp"

namespace evnf::efw
{

namespace
{

using nlohmann::json;

std::string str(const json &value)
{
    return value.get<std::string>();
}

// Verdict and rule, in one line.
std::string verdict_line(const json &judged)
{
    std::string out = str(judged["verdict"]);
    if (judged.contains("rule"))
        out += " by " + origin_text(judged["rule"]);
    if (judged.contains("because"))
        out += ": " + str(judged["because"]);
    return out + "\n";
}

// Where the packet goes if nothing drops it.
std::string route_line(const json &judged)
{
    if (!judged.contains("route"))
        return {};
    const json &route = judged["route"];
    return "route: it would leave by " + str(route["out"]) +
           (route["assumed"] == true ? ", as --out says\n" : "\n");
}

} // namespace

std::string origin_text(const json &origin)
{
    const std::string number = origin.contains("number") ? "rule " + origin["number"].dump() : "";
    return (number.empty() ? "the policy" : number) + " of " + str(origin["family"]) + " " +
           str(origin["table"]) + " " + str(origin["chain"]) +
           (number.empty() ? "" : ": " + str(origin["rule"]));
}

std::string netfilter_text(const json &judged)
{
    const std::string way = route_line(judged);
    if (!judged.contains("cases"))
        return way + "netfilter: " + verdict_line(judged);
    std::string out = way + "netfilter: it depends\n";
    for (const auto &c : judged["cases"]) {
        out += "  ";
        for (const auto &what : c["assuming"])
            out += (&what == &c["assuming"].front() ? "if " : " and ") + str(what);
        out += "\n    " + verdict_line(c);
    }
    return out + (judged["complete"] == true ? "" : "  and there are more cases\n");
}

} // namespace evnf::efw
