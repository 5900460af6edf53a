// SPDX-License-Identifier: GPL-2.0-or-later
// Packets that rules log: a line each in the daemon's log, as many as it can take, and all
// of them for those who read the feed. Used by all workers of an instance.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "abi/copy.h"
#include "vnfs/efw/rule.hpp"
#include "vnfs/feed.hpp"

namespace evnf::efw
{

// How many lines a second, and how many would have been more.
class LineBudget
{
public:
    using Clock = std::chrono::steady_clock;
    static constexpr unsigned per_second = 100;

    bool take(Clock::time_point now);
    // How many were refused, when their second is over, once.
    std::uint64_t left_out(Clock::time_point now);

private:
    Clock::time_point second_{}; // when it began
    unsigned lines_ = 0;         // in it
    std::uint64_t refused_ = 0;
};

class PacketLog
{
public:
    struct LoggedRule {
        unsigned id;
        std::string name;
    };
    using Rules = std::map<std::uint32_t, LoggedRule>; // by counter

    ~PacketLog();

    // The rules in force from now on. Packets of those before may be under way.
    void set_rules(Rules rules);
    // A packet, what decided about it, and where it came in.
    void put(const copy_head &head);
    // Says how many were more than could be written.
    void tell_left_out();

    struct Counts {
        std::uint64_t written = 0, left_out = 0; // lines in the daemon's log
    };
    [[nodiscard]] Counts counts() const;
    [[nodiscard]] std::shared_ptr<Feed> feed() { return feed_; }

private:
    [[nodiscard]] nlohmann::json record_of(const copy_head &head) const;
    void write_left_out(LineBudget::Clock::time_point now);

    const std::shared_ptr<Feed> feed_ = std::make_shared<Feed>();
    mutable std::mutex mutex_; // guards the rest
    Rules rules_, before_;
    LineBudget budget_;
    Counts counts_;
};

} // namespace evnf::efw
