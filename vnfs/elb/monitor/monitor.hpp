// SPDX-License-Identifier: GPL-2.0-or-later
// What is known of the backends of one elb: a thread asks them, and the fast path reads what
// their weights are now. It outlives the generations of the fast path; what it knows is kept
// in a file, so that a daemon that starts again goes on with it.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "vnfs/elb/feedback/formula.hpp"
#include "vnfs/elb/health/state.hpp"
#include "vnfs/elb/monitor/weigh.hpp"
#include "vnfs/elb/section.hpp"

namespace evnf::elb
{

using BackendKey = std::pair<std::string, std::string>; // the service's name, the endpoint

struct BackendState {
    HealthState health;
    FeedbackState feedback;
    std::optional<Drain> drain;
};

class Asker;

class Monitor
{
public:
    // That of an instance's folder: one for all who ask while one of them has it. The first
    // reads what was kept there.
    static std::shared_ptr<Monitor> of(const std::string &folder);
    ~Monitor();

    // Asks these backends from now on, and forgets all others.
    void watch(const std::vector<WatchedService> &services);
    // The weights of a service's backends now, in their order; also of one it does not watch
    // yet, whose backends it may know.
    [[nodiscard]] Weighed weigh(const WatchedService &service);
    // Writes down what is known, if it is something else than last time.
    Result<> keep();

    // Of the fast paths that have it, one leads: the last that took over and is still there,
    // else whoever asks first.
    void take_over(const void *who);
    bool lead(const void *who);
    void resign(const void *who);

    // `deadline` in seconds from now; `resets` as in Drain.
    void drain(const BackendKey &backend, std::optional<double> deadline, bool resets);
    // Whether it drained.
    bool undrain(const BackendKey &backend);
    [[nodiscard]] BackendState state(const BackendKey &backend, const WatchedBackend &watched);

    // What the asking thread has learned.
    void learn(const BackendKey &backend, const HealthSettings &settings, const Check &check);
    void learn(const BackendKey &backend, const FeedbackSettings &settings,
               const Result<std::vector<double>> &values);

private:
    explicit Monitor(std::string folder);
    Result<> restore();
    [[nodiscard]] double target(const std::string &service, const FeedbackSettings &settings) const;

    const std::string folder_;
    std::mutex mutex_; // of what is below
    std::map<BackendKey, BackendState> states_;
    std::vector<WatchedService> watched_;
    const void *leader_ = nullptr;
    std::string kept_;             // the daemon's thread's alone
    std::unique_ptr<Asker> asker_; // once there is something to ask
};

} // namespace evnf::elb
