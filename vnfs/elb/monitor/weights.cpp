// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/elb/monitor/weights.hpp"

namespace evnf::elb
{

Weights::~Weights()
{
    if (monitor_)
        monitor_->resign(this);
}

std::vector<Service> Weights::weigh(std::vector<Service> services,
                                    const std::vector<WatchedService> &watched) const
{
    if (!monitor_) // the static weights, as services_of() gives them
        return services;
    for (std::size_t i = 0; i < services.size(); ++i) {
        const auto weighed = monitor_->weigh(watched[i]);
        for (std::size_t k = 0; k < services[i].backends.size(); ++k)
            services[i].backends[k].effective = weighed.effective[k];
    }
    return services;
}

std::vector<Service> Weights::of(const json &section) const
{
    return weigh(services_of(section), watched_of(section));
}

void Weights::put_in_force(const json &section)
{
    services_ = services_of(section);
    watched_ = watched_of(section);
    told_ = false;
}

std::vector<Service> Weights::now() const
{
    return weigh(services_, watched_);
}

std::set<unsigned> Weights::over() const
{
    std::set<unsigned> out;
    if (!monitor_ || !monitor_->lead(this))
        return out;
    const Time now = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < watched_.size(); ++i) {
        const bool panics = monitor_->weigh(watched_[i]).panics; // then all count as up
        for (std::size_t k = 0; k < watched_[i].backends.size(); ++k) {
            const WatchedBackend &b = watched_[i].backends[k];
            const auto state = monitor_->state({watched_[i].name, b.endpoint.text()}, b);
            const bool drained = state.drain && state.drain->resets && state.drain->over(now);
            const bool down = b.health.type != HealthSettings::Type::none && b.health.resets &&
                              !panics && state.health.health == Health::down;
            if (drained || down)
                out.insert(services_[i].backends[k].id);
        }
    }
    return out;
}

// A fast path that is being replaced goes on ticking, and one that is being built may come to
// nothing: only the one that leads says whom to ask.
void Weights::tell()
{
    if (!monitor_ || !monitor_->lead(this) || told_)
        return;
    monitor_->watch(watched_);
    told_ = true;
}

void Weights::restore(const std::string &folder)
{
    monitor_ = Monitor::of(folder);
    monitor_->take_over(this);
}

Result<> Weights::keep()
{
    return monitor_ ? monitor_->keep() : Result<>(Unit{});
}

} // namespace evnf::elb
