// SPDX-License-Identifier: GPL-2.0-or-later
// Asks evnfd when somebody asks, and remembers its answers for a few seconds.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "tools/agentx/snapshot.hpp"

namespace evnf::agentx
{

class Source
{
public:
    explicit Source(std::string socket) : socket_(std::move(socket)) {}

    // A few seconds old at most, longer where evnfd takes long to answer; or what is known
    // without it.
    const Snapshot &now();

private:
    using Clock = std::chrono::steady_clock;

    std::string socket_;
    Snapshot snapshot_;
    std::optional<std::string> problem_; // of the last time, if there was one; empty: none
    Clock::time_point until_{};          // when the snapshot is too old
};

} // namespace evnf::agentx
