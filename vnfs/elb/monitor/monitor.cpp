// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/elb/monitor/monitor.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include "base/file.hpp"
#include "base/log.hpp"
#include "vnfs/elb/monitor/asker.hpp"
#include "vnfs/elb/monitor/kept.hpp"

namespace evnf::elb
{

namespace
{

using Clock = std::chrono::steady_clock;

constexpr const char *kept_file = "/backends.json";

bool is_watched(const WatchedBackend &b)
{
    return b.health.type != HealthSettings::Type::none || !b.feedback.indices.empty();
}

std::string in_words(const BackendKey &backend)
{
    return "elb: service " + backend.first + ", backend " + backend.second;
}

LogFields fields_of(const BackendKey &backend)
{
    return {{"vnf", "elb"}, {"service", backend.first}, {"backend", backend.second}};
}

} // namespace

std::shared_ptr<Monitor> Monitor::of(const std::string &folder)
{
    static std::mutex mutex;
    static std::map<std::string, std::weak_ptr<Monitor>> all;
    const std::scoped_lock lock(mutex);
    auto monitor = all[folder].lock();
    if (!monitor) {
        monitor.reset(new Monitor(folder));
        // Without it, nothing is known: no reason not to balance.
        if (auto r = monitor->restore(); !r)
            log_error("elb", r.error(), {{"vnf", "elb"}});
        all[folder] = monitor;
    }
    return monitor;
}

Monitor::Monitor(std::string folder) : folder_(std::move(folder)) {}

Monitor::~Monitor() = default;

void Monitor::watch(const std::vector<WatchedService> &services)
{
    const std::scoped_lock lock(mutex_);
    std::set<BackendKey> known;
    bool asks = false;
    for (const auto &s : services)
        for (const auto &b : s.backends) {
            auto &state = states_[{s.name, b.endpoint.text()}];
            known.emplace(s.name, b.endpoint.text());
            if (b.health.type == HealthSettings::Type::none)
                state.health = {};
            if (b.feedback.indices.empty())
                state.feedback = {};
            asks |= is_watched(b);
        }
    std::erase_if(states_, [&](const auto &s) { return !known.contains(s.first); });
    watched_ = services;
    if (asks && !asker_)
        asker_ = std::make_unique<Asker>(*this);
    if (asker_)
        asker_->ask(services);
}

Weighed Monitor::weigh(const WatchedService &service)
{
    const std::scoped_lock lock(mutex_);
    const Time now = Clock::now();
    std::vector<Standing> standings;
    for (const auto &b : service.backends) {
        Standing s{.weight = b.weight, .backup = b.backup};
        if (const auto it = states_.find({service.name, b.endpoint.text()}); it != states_.end()) {
            auto &state = it->second;
            s.drains = state.drain.has_value();
            if (b.health.type != HealthSettings::Type::none) {
                s.health = state.health.health;
                s.ramp = state.health.ramp(b.health, now);
            }
            if (!b.feedback.indices.empty())
                s.feedback = state.feedback.in_force(b.feedback, now);
        }
        standings.push_back(s);
    }
    return elb::weigh(standings, service.panic);
}

Result<> Monitor::restore()
{
    const std::string path = folder_ + kept_file;
    std::ifstream in(path);
    if (!in) { // nothing was kept
        kept_ = kept_text({}, Clock::now(), {});
        return Unit{};
    }
    const std::string text(std::istreambuf_iterator<char>(in), {});
    auto states = read_kept(text, Clock::now(), std::chrono::system_clock::now(), path);
    if (!states)
        return states.error();
    states_ = *std::move(states);
    kept_ = text;
    return Unit{};
}

Result<> Monitor::keep()
{
    std::string text;
    {
        const std::scoped_lock lock(mutex_);
        text = kept_text(states_, Clock::now(), std::chrono::system_clock::now());
    }
    if (text == kept_)
        return Unit{};
    std::error_code ec;
    if (!std::filesystem::create_directories(folder_, ec) && ec)
        return sys_error("make " + folder_, ec.value());
    if (auto r = replace_file(folder_ + kept_file, text); !r)
        return r;
    kept_ = std::move(text);
    return Unit{};
}

void Monitor::take_over(const void *who)
{
    const std::scoped_lock lock(mutex_);
    leader_ = who;
}

bool Monitor::lead(const void *who)
{
    const std::scoped_lock lock(mutex_);
    if (!leader_)
        leader_ = who;
    return leader_ == who;
}

void Monitor::resign(const void *who)
{
    const std::scoped_lock lock(mutex_);
    if (leader_ == who)
        leader_ = nullptr;
}

void Monitor::drain(const BackendKey &backend, std::optional<double> deadline, bool resets)
{
    const std::scoped_lock lock(mutex_);
    const Time now = Clock::now();
    Drain drain{now, {}, resets};
    auto &state = states_[backend];
    if (state.drain)
        drain.since = state.drain->since;
    if (deadline)
        drain.deadline = now + std::chrono::duration_cast<Time::duration>(Seconds(*deadline));
    state.drain = drain;
}

bool Monitor::undrain(const BackendKey &backend)
{
    const std::scoped_lock lock(mutex_);
    const auto it = states_.find(backend);
    if (it == states_.end() || !it->second.drain)
        return false;
    it->second.drain.reset();
    return true;
}

BackendState Monitor::state(const BackendKey &backend, const WatchedBackend &watched)
{
    const std::scoped_lock lock(mutex_);
    const auto it = states_.find(backend);
    if (it == states_.end())
        return {};
    it->second.feedback.in_force(watched.feedback, Clock::now());
    return it->second;
}

void Monitor::learn(const BackendKey &backend, const HealthSettings &settings, const Check &check)
{
    const std::scoped_lock lock(mutex_);
    const auto it = states_.find(backend);
    if (it == states_.end())
        return; // it is gone
    auto &health = it->second.health;
    if (!health.learn(check, settings, Clock::now()))
        return;
    const std::string state(health_text(health.health));
    const std::string line = in_words(backend) + " is " + state + ": " + check.text;
    LogFields fields = fields_of(backend);
    fields.emplace_back("state", state);
    if (health.health == Health::down)
        log_warning(line, fields);
    else
        log_info(line, fields);
}

// What the formula brings weights to: a fixed load, or that of the service's other backends.
double Monitor::target(const std::string &service, const FeedbackSettings &settings) const
{
    if (settings.target)
        return *settings.target;
    double sum = 0;
    unsigned count = 0;
    for (const auto &[key, state] : states_)
        if (key.first == service && state.feedback.load) {
            sum += *state.feedback.load;
            ++count;
        }
    return sum / count; // there is the one that asks
}

void Monitor::learn(const BackendKey &backend, const FeedbackSettings &settings,
                    const Result<std::vector<double>> &values)
{
    const std::scoped_lock lock(mutex_);
    const auto it = states_.find(backend);
    if (it == states_.end())
        return;
    auto &feedback = it->second.feedback;
    if (values) {
        feedback.learn(*values, settings, Clock::now());
        feedback.step(target(backend.first, settings), settings);
        return;
    }
    if (feedback.error.empty())
        log_warning(in_words(backend) + " does not say its load", values.error(),
                    fields_of(backend));
    feedback.fail(values.error().message());
}

} // namespace evnf::elb
