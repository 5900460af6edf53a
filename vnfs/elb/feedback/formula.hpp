// SPDX-License-Identifier: GPL-2.0-or-later
// What a backend's weight makes of its load: the dynamic feedback scheduling of the Linux
// Virtual Server project. All is plain: time is an argument. Weights are multiples of the
// static weight here, as "1.2 times".
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "vnfs/elb/feedback/settings.hpp"
#include "vnfs/elb/health/state.hpp"

namespace evnf::elb
{

// AGGREGATE = sum of R_j LOAD_j, the R_j made to sum up to 1. `loads` are in [0, 1], one for
// each index. In [0, 1].
double aggregate(std::span<const Index> indices, std::span<const double> loads);

// w' = w + A * cbrt(target - AGGREGATE), within the bounds; w itself if the step is no greater
// than the threshold.
double next_weight(double weight, double aggregate, double target, const FeedbackSettings &s);

// What is known of one backend's load, and the weight that has come of it.
struct FeedbackState {
    double weight = 1;            // in force while it holds
    double before = 1;            // until the last measurement
    std::vector<double> values;   // of the indices, as measured last
    std::vector<double> loads;    // the same in [0, 1]
    std::optional<double> load;   // the smoothed aggregate; none: not measured, or too long ago
    std::optional<Time> measured; // the last good measurement
    std::string error;            // of the last attempt; empty if it was good
    unsigned long measurements = 0, failures = 0;

    // Takes in a measurement, one value for each index.
    void learn(std::vector<double> given, const FeedbackSettings &s, Time now);
    // Makes the step that the last measurement asks for.
    void step(double target, const FeedbackSettings &s);
    void fail(std::string why);
    // The last weight as long as it holds; after that the static one, and all starts anew.
    double in_force(const FeedbackSettings &s, Time now);
};

} // namespace evnf::elb
