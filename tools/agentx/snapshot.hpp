// SPDX-License-Identifier: GPL-2.0-or-later
// What EVNF-MIB shows of one evnfd at one moment. The objects' numbers are those of
// tools/monitoring/EVNF-MIB.txt.
#pragma once

#include <compare>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace evnf::agentx
{

using nlohmann::json;
using Oid = std::vector<unsigned long>; // Net-SNMP's "oid"

struct Integer {
    std::int32_t value;
    auto operator<=>(const Integer &) const = default;
};
struct Gauge {
    std::uint32_t value;
    auto operator<=>(const Gauge &) const = default;
};
struct Counter {
    std::uint64_t value;
    auto operator<=>(const Counter &) const = default;
};
struct Ticks {
    std::uint32_t value; // hundredths of a second
    auto operator<=>(const Ticks &) const = default;
};
using Value = std::variant<Integer, Gauge, Counter, Ticks, std::string>;

// Objects by what follows evnfMIB in their names, in their order.
using Snapshot = std::vector<std::pair<Oid, Value>>;

// What evnfd answers, by path.
struct Answers {
    json status;   // /v1/status
    json counters; // /v1/counters
    // Of each instance that has it: /v1/elb/health, /v1/elb/feedback, /v1/edpi/applications.
    json health = json::object(), feedback = json::object(), applications = json::object();
};

// Throws json::exception if it is not what this version of evnfd answers.
Snapshot snapshot_of(const Answers &answers);

// While evnfd does not answer.
Snapshot snapshot_without(const std::string &problem);

} // namespace evnf::agentx
