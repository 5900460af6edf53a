// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/elb/feedback/formula.hpp"

#include <algorithm>
#include <cmath>

namespace evnf::elb
{

double aggregate(std::span<const Index> indices, std::span<const double> loads)
{
    double sum = 0, weights = 0;
    for (std::size_t i = 0; i < indices.size(); ++i) {
        sum += indices[i].weight * loads[i];
        weights += indices[i].weight;
    }
    return weights > 0 ? std::clamp(sum / weights, 0.0, 1.0) : 0;
}

double next_weight(double weight, double aggregate, double target, const FeedbackSettings &s)
{
    const double inside = std::clamp(weight, s.least, s.most);
    const double next =
        std::clamp(inside + s.gain * std::cbrt(target - aggregate), s.least, s.most);
    return std::abs(next - inside) > s.threshold ? next : inside;
}

void FeedbackState::learn(std::vector<double> given, const FeedbackSettings &s, Time now)
{
    values = std::move(given);
    loads.clear();
    for (std::size_t i = 0; i < values.size(); ++i)
        loads.push_back(s.indices[i].load(values[i]));
    const double fresh = aggregate(s.indices, loads);
    load = load ? s.smoothing * *load + (1 - s.smoothing) * fresh : fresh;
    measured = now;
    error.clear();
    ++measurements;
}

void FeedbackState::step(double target, const FeedbackSettings &s)
{
    before = weight;
    weight = next_weight(weight, *load, target, s);
}

void FeedbackState::fail(std::string why)
{
    error = std::move(why);
    ++failures;
}

double FeedbackState::in_force(const FeedbackSettings &s, Time now)
{
    if (measured && now - *measured > Seconds(s.hold)) {
        load.reset();
        measured.reset();
        before = weight;
        weight = 1;
    }
    return weight;
}

} // namespace evnf::elb
