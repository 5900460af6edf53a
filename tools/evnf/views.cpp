// SPDX-License-Identifier: GPL-2.0-or-later
#include "views.hpp"

#include <algorithm>
#include <vector>

#include "vnfs/cli.hpp"

namespace evnf::cli
{

namespace
{

using Rows = std::vector<std::vector<std::string>>;

std::string number(const json &n)
{
    return std::to_string(n.get<std::uint64_t>());
}

std::string text(const json &s)
{
    return s.get<std::string>();
}

// "cli0 -> root -> efw -> elb -> forward (route)"
std::string drawing(const json &chain)
{
    return text(chain["path"]);
}

void add_slot_rows(const json &slot, Rows &rows)
{
    std::vector<std::string> row{text(slot["name"]), number(slot["packets"]),
                                 number(slot["bytes"])};
    for (const auto *verdict : {"next", "drop", "slow", "done"})
        row.push_back(number(slot["verdicts"][verdict]["packets"]));
    rows.push_back(std::move(row));
}

std::string reasons_view(const json &chain)
{
    Rows rows;
    for (const auto &slot : chain["slots"])
        for (const auto &r : slot["reasons"])
            if (r["reason"] != "next")
                rows.push_back({"  " + text(slot["name"]), text(r["verdict"]), text(r["reason"]),
                                number(r["packets"]), text(r["help"])});
    return rows.empty() ? "" : "\n" + table(rows);
}

} // namespace

std::string status_view(const json &status)
{
    std::string out = "evnfd " + text(status["version"]) + " '" + text(status["name"]) + "', pid " +
                      number(status["pid"]) + ", up " + number(status["uptime_s"]) +
                      " s, generation " + number(status["generation"]) + "\n";
    Rows rows{{"INTERFACE", "IFINDEX", "CHAIN", "XDP", "PROGRAM"}};
    for (const auto &i : status["interfaces"])
        rows.push_back({text(i["interface"]), number(i["ifindex"]), text(i["chain"]),
                        i["xdp"] == "" ? "none" : text(i["xdp"]), number(i["program_id"])});
    out += table(rows);
    for (const auto &warning : status["warnings"])
        out += "warning: " + text(warning) + "\n";
    return out;
}

std::string chains_view(const json &chains)
{
    std::string out;
    for (const auto &chain : chains) {
        out += (out.empty() ? "" : "\n") + text(chain["name"]) + ": " + drawing(chain) + "\n";
        Rows rows{{"STAGE", "PACKETS", "BYTES", "NEXT", "DROP", "SLOW", "DONE"}};
        for (const auto &slot : chain["slots"])
            add_slot_rows(slot, rows);
        out += table(rows) + reasons_view(chain);
    }
    return out.empty() ? "no chains\n" : out;
}

std::string counters_view(const json &counters)
{
    Rows rows{{"CHAIN", "STAGE", "VERDICT", "REASON", "PACKETS", "BYTES"}};
    for (const auto &chain : counters["chains"])
        for (const auto &slot : chain["slots"])
            for (const auto &r : slot["reasons"])
                rows.push_back({text(chain["name"]), text(slot["name"]), text(r["verdict"]),
                                text(r["reason"]), number(r["packets"]), number(r["bytes"])});
    std::string out = table(rows);
    const auto &hops = counters["nexthops"];
    out += "next hops: " + number(hops["resolved"]) + " resolved, " + number(hops["slow"]) +
           " left to the kernel, " + number(hops["pending"]) +
           " pending; events lost: " + number(counters["events_lost"]["nexthop_miss"]) + "\n";
    const auto &workers = counters["workers"];
    if (workers["workers"] != 0)
        out += "workers: " + number(workers["workers"]) +
               "; copies sent to them: " + number(workers["copies_sent"]) +
               ", lost: " + number(workers["copies_lost"]) + "\n";
    return out;
}

std::string changes_view(const json &reply)
{
    std::string out;
    for (const auto &line : reply["changes"])
        out += text(line) + "\n";
    if (out.empty())
        return "no changes\n";
    return reply["applied"].get<bool>() ? out : out + "(dry run: nothing was changed)\n";
}

std::string history_view(const json &history)
{
    constexpr std::size_t most = 5; // lines of one change
    Rows rows{{"NUMBER", "TIME", "WHAT", "CHANGES"}};
    for (const auto &change : history) {
        const auto &lines = change["changes"];
        rows.push_back({number(change["number"]), text(change["time"]), text(change["what"]),
                        lines.empty() ? "" : text(lines[0])});
        for (std::size_t i = 1; i < std::min(lines.size(), most); ++i)
            rows.push_back({"", "", "", text(lines[i])});
        if (lines.size() > most)
            rows.push_back({"", "", "", std::to_string(lines.size() - most) + " more (--json)"});
    }
    return table(rows);
}

std::string good_view(const json &checked)
{
    return text(checked["checked"]) + ": good\n";
}

} // namespace evnf::cli
