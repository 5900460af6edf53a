// SPDX-License-Identifier: GPL-2.0-or-later
// The thread that asks backends how they are. It waits for all answers at once.
#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <thread>
#include <vector>

#include "vnfs/elb/feedback/snmp.hpp"
#include "vnfs/elb/monitor/monitor.hpp"
#include "vnfs/elb/probe/probe.hpp"

namespace evnf::elb
{

class Asker
{
public:
    // Tells `monitor`, which must outlive it, what it learns.
    explicit Asker(Monitor &monitor);
    ~Asker();

    // Asks these from now on. Who was asked before in the same way goes on being so.
    void ask(std::vector<WatchedService> services);

private:
    // When something is asked again.
    struct Turn {
        Time next{};
        bool under_way = false;
    };
    struct Watch {
        BackendKey key;
        WatchedBackend backend;
        Turn check, measure;
    };
    struct Measurement;

    void run(const std::stop_token &stop);
    void take_wanted();
    [[nodiscard]] Time first_turn(double interval);
    [[nodiscard]] Time next_turn(double interval, double jitter);
    Time start_due(Time now); // gives when the next is due
    void start_check(unsigned long number, const Watch &watch);
    void start_measurement(unsigned long number, const Watch &watch);
    void ask_agent(const std::shared_ptr<Measurement> &m, const Watch &watch, std::size_t index);
    void end_check(unsigned long number, const Check &check);
    void end_measurement(Measurement &m);

    Monitor &monitor_;
    std::mutex mutex_; // of wanted_
    std::optional<std::vector<WatchedService>> wanted_;

    // What follows is the thread's.
    std::map<unsigned long, Watch> watches_; // by a number that is never given again
    unsigned long next_number_ = 0;
    unsigned under_way_ = 0;
    std::minstd_rand random_{std::random_device{}()};
    WebProbes web_;
    ScriptProbes scripts_;
    LineProbes lines_;
    SnmpProbes snmp_;
    std::jthread thread_; // last: it ends before the rest goes
};

} // namespace evnf::elb
