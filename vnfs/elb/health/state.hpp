// SPDX-License-Identifier: GPL-2.0-or-later
// The state of one backend, as its checks and the operator make it:
//
//              a good one                    `fall` bad ones in a row
//   checking ──────────────▶ up ◀───────────────────────────────────▶ down
//      └──── `fall` bad ones in a row ───────────────────────────────▶ ┘
//                                `rise` good ones in a row: up, with a slow start
//
// Before anything is known of it, a backend is taken for up: a new balancer must not refuse
// what may well be answered. All is plain: time is an argument.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "vnfs/elb/health/settings.hpp"

namespace evnf::elb
{

using Time = std::chrono::steady_clock::time_point;
using Seconds = std::chrono::duration<double>;

enum class Health { checking, up, down };
std::string_view health_text(Health health);
std::optional<Health> parse_health(std::string_view text);

// The outcome of one check.
struct Check {
    bool good = false;
    std::string text; // for people: "200 in 3 ms", "connection refused"
};

struct HealthState {
    Health health = Health::checking;
    Time since{};           // when it became so
    unsigned in_a_row = 0;  // outcomes alike until now
    bool last_good = false; // the outcome that they are
    bool ramps = false;     // it came up from down: a slow start
    std::string last_check; // its text; empty if there was none
    Time last_check_at{};
    unsigned long checks = 0, failed_checks = 0, transitions = 0;

    // Takes in an outcome; whether the state is another now.
    bool learn(const Check &check, const HealthSettings &settings, Time now);
    // The share of its weight that a slow start leaves, above 0 and up to 1.
    [[nodiscard]] double ramp(const HealthSettings &settings, Time now) const;
};

// The operator's word: no new connections; after the deadline it may be taken away.
struct Drain {
    Time since{};
    std::optional<Time> deadline;
    bool resets = false; // after it: the connections that are left
    [[nodiscard]] bool over(Time now) const { return deadline && now >= *deadline; }
};

} // namespace evnf::elb
