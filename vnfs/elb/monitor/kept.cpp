// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/elb/monitor/kept.hpp"

#include <cmath>

namespace evnf::elb
{

namespace
{

// Between the two clocks, in seconds of the Unix epoch; whole ones, so that what has not
// changed reads the same each time.
class Clocks
{
public:
    Clocks(Time now, Calendar today) : now_(now), today_(today) {}
    [[nodiscard]] double epoch(Time t) const
    {
        return std::round(Seconds(today_.time_since_epoch()).count() + Seconds(t - now_).count());
    }
    [[nodiscard]] Time time(double epoch) const
    {
        const double ahead = epoch - Seconds(today_.time_since_epoch()).count();
        return now_ + std::chrono::duration_cast<Time::duration>(Seconds(ahead));
    }

private:
    Time now_;
    Calendar today_;
};

} // namespace

std::string kept_text(const States &states, Time now, Calendar today)
{
    const Clocks clocks(now, today);
    json backends = json::array();
    for (const auto &[key, s] : states) {
        json row{{"service", key.first}, {"backend", key.second}};
        if (s.health.health != Health::checking)
            row["health"] = {{"state", health_text(s.health.health)},
                             {"since", clocks.epoch(s.health.since)},
                             {"ramps", s.health.ramps}};
        if (s.feedback.measured)
            row["feedback"] = {{"weight", s.feedback.weight},
                               {"load", *s.feedback.load},
                               {"measured", clocks.epoch(*s.feedback.measured)}};
        if (s.drain) {
            row["drain"] = {{"since", clocks.epoch(s.drain->since)}};
            if (s.drain->resets)
                row["drain"]["resets"] = true;
            if (s.drain->deadline)
                row["drain"]["deadline"] = clocks.epoch(*s.drain->deadline);
        }
        if (row.size() > 2)
            backends.push_back(std::move(row));
    }
    return json{{"version", 1}, {"backends", std::move(backends)}}.dump(1) + "\n";
}

Result<States> read_kept(const std::string &text, Time now, Calendar today,
                         const std::string &where)
{
    const Clocks clocks(now, today);
    States out;
    try {
        const json all = json::parse(text);
        for (const auto &row : all.at("backends")) {
            BackendState s;
            if (row.contains("health")) {
                const json &h = row["health"];
                s.health.health =
                    parse_health(h.at("state").get<std::string>()).value_or(Health::checking);
                s.health.since = clocks.time(h.at("since").get<double>());
                s.health.ramps = h.at("ramps").get<bool>();
            }
            if (row.contains("feedback")) {
                const json &f = row["feedback"];
                s.feedback.weight = s.feedback.before = f.at("weight").get<double>();
                s.feedback.load = f.at("load").get<double>();
                s.feedback.measured = clocks.time(f.at("measured").get<double>());
            }
            if (row.contains("drain")) {
                const json &d = row["drain"];
                s.drain.emplace(Drain{clocks.time(d.at("since").get<double>()), {}});
                s.drain->resets = d.value("resets", false);
                if (d.contains("deadline"))
                    s.drain->deadline = clocks.time(d["deadline"].get<double>());
            }
            out.emplace(BackendKey(row.at("service").get<std::string>(),
                                   row.at("backend").get<std::string>()),
                        std::move(s));
        }
    } catch (const json::exception &) {
        return bad_input(where + " is damaged: remove it to start as if nothing were known of the "
                                 "backends");
    }
    return out;
}

} // namespace evnf::elb
