// SPDX-License-Identifier: GPL-2.0-or-later
// What is known of backends, for people and programs.
#include <cmath>

#include "vnfs/elb/monitor/weights.hpp"

namespace evnf::elb
{

namespace
{

using Clock = std::chrono::steady_clock;

// Seconds of the Unix epoch.
std::int64_t epoch(Time t)
{
    const auto then =
        std::chrono::system_clock::now() +
        std::chrono::duration_cast<std::chrono::system_clock::duration>(t - Clock::now());
    return std::llround(Seconds(then.time_since_epoch()).count());
}

// Rounded: for reading.
double thousandths(double value)
{
    return std::round(value * 1000) / 1000;
}

std::string state_text(const WatchedBackend &b, const BackendState &s, Time now)
{
    if (s.drain)
        return s.drain->over(now) ? "drained" : "draining";
    if (b.health.type == HealthSettings::Type::none)
        return "unchecked";
    if (s.health.ramp(b.health, now) < 1)
        return "starting";
    return std::string(health_text(s.health.health));
}

json drain_json(const Drain &drain)
{
    json out{{"since", epoch(drain.since)}};
    if (drain.deadline)
        out["deadline"] = epoch(*drain.deadline);
    if (drain.resets)
        out["reset"] = true;
    return out;
}

// Since when the state is what it is, and what the last check said.
void describe_checks(json &row, const BackendState &s)
{
    if (s.drain)
        row["since"] = epoch(s.drain->since);
    else if (s.health.health != Health::checking)
        row["since"] = epoch(s.health.since);
    if (s.health.checks)
        row["last"] = {{"good", s.health.last_good},
                       {"text", s.health.last_check},
                       {"at", epoch(s.health.last_check_at)},
                       {"in_a_row", s.health.in_a_row}};
}

json health_row(const WatchedBackend &b, const BackendState &s, unsigned effective)
{
    const Time now = Clock::now();
    json row{{"backend", b.endpoint.text()},
             {"backup", b.backup},
             {"check", type_text(b.health.type)},
             {"state", state_text(b, s, now)},
             {"weight", b.weight},
             {"effective", thousandths(static_cast<double>(effective) / weight_scale)},
             {"ramp", thousandths(s.health.ramp(b.health, now))},
             {"checks", s.health.checks},
             {"failed", s.health.failed_checks},
             {"transitions", s.health.transitions}};
    describe_checks(row, s);
    if (s.drain)
        row["drain"] = drain_json(*s.drain);
    return row;
}

json feedback_row(const WatchedBackend &b, const BackendState &s, unsigned effective)
{
    const auto &f = s.feedback;
    double sum = 0;
    for (const auto &i : b.feedback.indices)
        sum += i.weight;
    json indices = json::array();
    for (std::size_t i = 0; i < b.feedback.indices.size(); ++i) {
        const Index &index = b.feedback.indices[i];
        json row{{"name", index.name}, {"share", thousandths(index.weight / sum)}};
        if (f.measured && f.values.size() == b.feedback.indices.size()) {
            row["value"] = f.values[i];
            row["load"] = thousandths(f.loads[i]);
        }
        indices.push_back(std::move(row));
    }
    json out{{"backend", b.endpoint.text()},
             {"indices", std::move(indices)},
             {"static", b.weight},
             {"before", thousandths(b.weight * f.before)},
             {"after", thousandths(b.weight * f.weight)},
             {"effective", thousandths(static_cast<double>(effective) / weight_scale)},
             {"measurements", f.measurements},
             {"failures", f.failures},
             {"state", !f.measured       ? "static"
                       : f.error.empty() ? "fresh"
                                         : "held"}};
    if (f.load)
        out["aggregate"] = thousandths(*f.load);
    if (f.measured) {
        out["measured"] = epoch(*f.measured);
        out["age"] = thousandths(Seconds(Clock::now() - *f.measured).count());
    }
    if (!f.error.empty())
        out["error"] = f.error;
    return out;
}

} // namespace

json Weights::health() const
{
    json out = json::array();
    for (const auto &s : watched_) {
        const auto weighed = monitor_->weigh(s);
        json backends = json::array();
        for (std::size_t i = 0; i < s.backends.size(); ++i)
            backends.push_back(
                health_row(s.backends[i],
                           monitor_->state({s.name, s.backends[i].endpoint.text()}, s.backends[i]),
                           weighed.effective[i]));
        out.push_back({{"service", s.name},
                       {"panics", weighed.panics},
                       {"on_backups", weighed.on_backups},
                       {"backends", std::move(backends)}});
    }
    return out;
}

json Weights::feedback() const
{
    json out = json::array();
    for (const auto &s : watched_) {
        const auto weighed = monitor_->weigh(s);
        json backends = json::array();
        for (std::size_t i = 0; i < s.backends.size(); ++i)
            if (!s.backends[i].feedback.indices.empty())
                backends.push_back(feedback_row(
                    s.backends[i],
                    monitor_->state({s.name, s.backends[i].endpoint.text()}, s.backends[i]),
                    weighed.effective[i]));
        if (!backends.empty())
            out.push_back({{"service", s.name}, {"backends", std::move(backends)}});
    }
    return out;
}

void Weights::describe(json &shown) const
{
    if (!monitor_)
        return;
    for (std::size_t i = 0; i < watched_.size(); ++i) {
        const auto weighed = monitor_->weigh(watched_[i]);
        const Time now = Clock::now();
        double total = 0;
        for (const unsigned w : weighed.effective)
            total += w;
        for (std::size_t k = 0; k < watched_[i].backends.size(); ++k) {
            const auto &b = watched_[i].backends[k];
            const auto state = monitor_->state({watched_[i].name, b.endpoint.text()}, b);
            const double effective = weighed.effective[k];
            shown["service"][i]["backends"][k].update(
                {{"effective", thousandths(effective / weight_scale)},
                 {"share", total > 0 ? effective / total : 0.0},
                 {"state", state_text(b, state, now)},
                 {"backup", b.backup}});
            describe_checks(shown["service"][i]["backends"][k], state);
        }
    }
}

std::vector<Metric> Weights::metrics() const
{
    std::vector<Metric> out;
    if (!monitor_)
        return out;
    for (const auto &s : watched_) {
        const auto weighed = monitor_->weigh(s);
        out.push_back({"evnf_elb_service_panic",
                       "Whether so few backends are up that health is not looked at",
                       {{"service", s.name}},
                       weighed.panics ? 1.0 : 0.0});
        for (std::size_t i = 0; i < s.backends.size(); ++i) {
            const auto &b = s.backends[i];
            const auto state = monitor_->state({s.name, b.endpoint.text()}, b);
            auto add = [&](const char *name, const char *help, double value) {
                out.push_back({std::string("evnf_elb_backend_") + name,
                               help,
                               {{"service", s.name}, {"backend", b.endpoint.text()}},
                               value});
            };
            add("effective_weight", "Share of new connections now, relative",
                static_cast<double>(weighed.effective[i]) / weight_scale);
            if (b.health.type != HealthSettings::Type::none) {
                add("up", "Whether it is not down by its checks",
                    state.health.health == Health::down ? 0 : 1);
                add("checks_total", "Health checks made", static_cast<double>(state.health.checks));
                add("failed_checks_total", "Health checks that failed",
                    static_cast<double>(state.health.failed_checks));
            }
            if (state.feedback.load)
                add("load", "The aggregate of its load indices, 0 to 1", *state.feedback.load);
            if (!b.feedback.indices.empty())
                add("feedback_failures_total", "Times that it did not say its load",
                    static_cast<double>(state.feedback.failures));
        }
    }
    return out;
}

} // namespace evnf::elb
