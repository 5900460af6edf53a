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
