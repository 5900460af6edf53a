// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/elb/monitor/asker.hpp"

#include <algorithm>
#include <cmath>

namespace evnf::elb
{

namespace
{

using Clock = std::chrono::steady_clock;
using Type = HealthSettings::Type;

// At once: each has a descriptor or two, of which a process has 1024 if nobody says more.
constexpr unsigned most_under_way = 256;
constexpr auto longest_wait = std::chrono::seconds(10);

Time::duration duration(double seconds)
{
    return std::chrono::duration_cast<Time::duration>(Seconds(seconds));
}

// "75%" or "0.75 up": the number at its begin.
Result<double> leading_number(const std::string &text)
{
    char *end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    if (end == text.c_str() || !std::isfinite(value))
        return bad_input("there is no number at the begin of its answer");
    return value;
}

Result<double> number_in(const std::string &body, const std::string &field)
{
    if (field.empty())
        return leading_number(body);
    const json all = json::parse(body, nullptr, false);
    if (all.is_discarded())
        return bad_input("its answer is not JSON");
    try {
        const json &value = all.at(json::json_pointer(field));
        if (value.is_number())
            return value.get<double>();
    } catch (const json::exception &) {
    }
    return bad_input("its answer has no number at " + field);
}

} // namespace

// The indices of one backend, asked for together; it ends when nobody waits for one any more.
struct Asker::Measurement {
    unsigned long number;
    std::vector<double> values;
    std::optional<Error> error; // the first
    std::size_t waiting = 0;

    void take(std::size_t index, const std::string &name, const Result<double> &value)
    {
        if (value)
            values[index] = *value;
        else if (!error)
            error = bad_input(name + ": " + value.error().message());
    }
};

Asker::Asker(Monitor &monitor) : monitor_(monitor)
{
    thread_ = std::jthread([this](const std::stop_token &stop) { run(stop); });
}

Asker::~Asker()
{
    thread_.request_stop();
    web_.wake();
    thread_.join();
}

void Asker::ask(std::vector<WatchedService> services)
{
    {
        const std::scoped_lock lock(mutex_);
        wanted_ = std::move(services);
    }
    web_.wake();
}

void Asker::run(const std::stop_token &stop)
{
    Probes *const others[]{&scripts_, &lines_, &snmp_};
    while (!stop.stop_requested()) {
        take_wanted();
        Time until = start_due(Clock::now());
        std::vector<curl_waitfd> descriptors;
        for (const auto *p : others) {
            p->add_descriptors(descriptors);
            until = std::min(until, p->deadline().value_or(until));
        }
        web_.wait(descriptors, until);
        web_.run();
        for (auto *p : others)
            p->run(Clock::now());
    }
}

void Asker::take_wanted()
{
    std::optional<std::vector<WatchedService>> wanted;
    {
        const std::scoped_lock lock(mutex_);
        wanted.swap(wanted_);
    }
    if (!wanted)
        return;
    std::map<BackendKey, unsigned long> known;
    for (const auto &[number, watch] : watches_)
        known[watch.key] = number;
    std::map<unsigned long, Watch> next;
    for (const auto &s : *wanted)
        for (const auto &b : s.backends) {
            const BackendKey key(s.name, b.endpoint.text());
            const auto old = known.find(key);
            if (old != known.end()) {
                Watch watch = watches_.at(old->second);
                const bool same =
                    watch.backend.health == b.health && watch.backend.feedback == b.feedback;
                if (same) {
                    watch.backend = b;
                    next.emplace(old->second, std::move(watch));
                    continue;
                }
            }
            Watch fresh{key, b, {first_turn(b.health.interval)}, {first_turn(b.feedback.interval)}};
            next.emplace(next_number_++, std::move(fresh));
        }
    watches_ = std::move(next);
}

// Not all at the same moment, but soon.
Time Asker::first_turn(double interval)
{
    std::uniform_real_distribution<double> some(0, std::min(interval, 1.0));
    return Clock::now() + duration(some(random_));
}

Time Asker::next_turn(double interval, double jitter)
{
    std::uniform_real_distribution<double> some(1 - jitter, 1 + jitter);
    return Clock::now() + duration(interval * some(random_));
}

Time Asker::start_due(Time now)
{
    Time soonest = now + longest_wait;
    for (auto &[number, w] : watches_) {
        const auto due = [&, now](Turn &turn) {
            if (turn.under_way)
                return false;
            if (turn.next <= now && under_way_ < most_under_way)
                return true;
            if (turn.next > now) // else it waits for one to end
                soonest = std::min(soonest, turn.next);
            return false;
        };
        if (w.backend.health.type != Type::none && due(w.check)) {
            w.check = {next_turn(w.backend.health.interval, w.backend.health.jitter), true};
            ++under_way_;
            start_check(number, w);
        }
        if (!w.backend.feedback.indices.empty() && due(w.measure)) {
            w.measure = {next_turn(w.backend.feedback.interval, w.backend.feedback.jitter), true};
            ++under_way_;
            start_measurement(number, w);
        }
    }
    return soonest;
}

void Asker::start_check(unsigned long number, const Watch &watch)
{
    const HealthSettings &s = watch.backend.health;
    const Endpoint to{watch.backend.endpoint.address, s.port.value_or(watch.backend.endpoint.port)};
    const auto answered = [this, number, s](const HttpAnswer &a) {
        end_check(number, judge(a, s));
    };
    switch (s.type) {
    case Type::none:
        break;
    case Type::tcp:
        return web_.connect(to, s.timeout, answered);
    case Type::http:
    case Type::https:
        return web_.http({.to = to,
                          .tls = s.type == Type::https,
                          .verify = s.verify,
                          .ca_file = s.ca_file,
                          .method = s.method,
                          .path = s.path,
                          .host = s.host,
                          .timeout = s.timeout},
                         answered);
    case Type::script:
        return scripts_.start(
            s.command,
            {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
             "EVNF_SERVICE=" + watch.key.first, "EVNF_ADDRESS=" + to.address.text(),
             "EVNF_PORT=" + std::to_string(to.port)},
            s.timeout, [this, number](const Check &check) { end_check(number, check); });
    }
}

void Asker::end_check(unsigned long number, const Check &check)
{
    --under_way_;
    const auto it = watches_.find(number);
    if (it == watches_.end())
        return; // nobody wants to know any more
    it->second.check.under_way = false;
    monitor_.learn(it->second.key, it->second.backend.health, check);
}

void Asker::start_measurement(unsigned long number, const Watch &watch)
{
    const FeedbackSettings &s = watch.backend.feedback;
    auto m = std::make_shared<Measurement>();
    m->number = number;
    m->values.resize(s.indices.size());
    m->waiting = 1; // this, until all are under way
    std::vector<Index> snmp;
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i < s.indices.size(); ++i) {
        if (s.indices[i].is_snmp()) {
            snmp.push_back(s.indices[i]);
            places.push_back(i);
        } else {
            ++m->waiting;
            ask_agent(m, watch, i);
        }
    }
    if (!snmp.empty()) {
        ++m->waiting;
        snmp_.start(watch.backend.endpoint.address, s.snmp, std::move(snmp), s.timeout,
                    [this, m, places](const Result<std::vector<double>> &values) {
                        for (std::size_t i = 0; i < places.size(); ++i)
                            m->take(places[i], "SNMP",
                                    values ? Result<double>((*values)[i]) : values.error());
                        end_measurement(*m);
                    });
    }
    end_measurement(*m);
}

void Asker::ask_agent(const std::shared_ptr<Measurement> &m, const Watch &watch, std::size_t index)
{
    const Index &i = watch.backend.feedback.indices[index];
    const double timeout = watch.backend.feedback.timeout;
    const Endpoint &backend = watch.backend.endpoint;
    const Endpoint to{backend.address, i.port ? i.port : backend.port};
    const auto end = [this, m, index, name = i.name](const Result<double> &value) {
        m->take(index, name, value);
        end_measurement(*m);
    };
    if (i.source == Index::Source::tcp)
        return lines_.start(to, timeout, [end](const Result<std::string> &line) {
            end(line ? leading_number(*line) : line.error());
        });
    web_.http({.to = to, .path = i.path, .timeout = timeout},
              [end, field = i.field](const HttpAnswer &a) {
                  if (!a.error.empty())
                      return end(bad_input(a.error));
                  if (a.status != 200)
                      return end(bad_input("status " + std::to_string(a.status)));
                  end(number_in(a.body, field));
              });
}

void Asker::end_measurement(Measurement &m)
{
    if (--m.waiting > 0)
        return;
    --under_way_;
    const auto it = watches_.find(m.number);
    if (it == watches_.end())
        return;
    it->second.measure.under_way = false;
    const auto &settings = it->second.backend.feedback;
    if (m.error)
        monitor_.learn(it->second.key, settings, *m.error);
    else
        monitor_.learn(it->second.key, settings, m.values);
}

} // namespace evnf::elb
