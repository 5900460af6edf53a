// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/elb/health/state.hpp"

#include <algorithm>
#include <array>

namespace evnf::elb
{

namespace
{

constexpr std::array<std::string_view, 3> names{"checking", "up", "down"};
constexpr double least_ramp = 0.01; // some connections from the first moment

} // namespace

std::string_view health_text(Health health)
{
    return names.at(static_cast<std::size_t>(health));
}

std::optional<Health> parse_health(std::string_view text)
{
    const auto it = std::find(names.begin(), names.end(), text);
    if (it == names.end())
        return {};
    return static_cast<Health>(it - names.begin());
}

bool HealthState::learn(const Check &check, const HealthSettings &settings, Time now)
{
    ++checks;
    failed_checks += !check.good;
    in_a_row = check.good == last_good ? in_a_row + 1 : 1;
    last_good = check.good;
    last_check = check.text;
    last_check_at = now;
    Health next = health;
    if (!check.good && in_a_row >= settings.fall)
        next = Health::down;
    else if (check.good && (health == Health::checking || in_a_row >= settings.rise))
        next = Health::up;
    if (next == health)
        return false;
    ramps = health == Health::down;
    health = next;
    since = now;
    ++transitions;
    return true;
}

double HealthState::ramp(const HealthSettings &settings, Time now) const
{
    if (health != Health::up || !ramps || settings.slow_start <= 0)
        return 1;
    return std::clamp(Seconds(now - since).count() / settings.slow_start, least_ramp, 1.0);
}

} // namespace evnf::elb
