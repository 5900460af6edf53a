// SPDX-License-Identifier: GPL-2.0-or-later
// A fast path's side of the monitor: the weights that its slot tables are to have now.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "vnfs/elb/monitor/monitor.hpp"
#include "vnfs/elb/section.hpp"
#include "vnfs/vnf.hpp"

namespace evnf::elb
{

class Weights
{
public:
    Weights() = default;
    ~Weights();
    Weights(const Weights &) = delete;
    Weights &operator=(const Weights &) = delete;

    // A section's services, with the weights that count now.
    [[nodiscard]] std::vector<Service> of(const json &section) const;
    // From now on the monitor is to ask for this section's backends.
    void put_in_force(const json &section);
    // Those of the section in force.
    [[nodiscard]] std::vector<Service> now() const;
    // For tick(): the ids of the backends whose connections are to end, if it is this fast path
    // that ends them.
    [[nodiscard]] std::set<unsigned> over() const;
    // For tick(): tells the monitor whom to ask, if it is this fast path that says so.
    void tell();

    // As FastPath has them. restore() makes now() and of() what was known.
    void restore(const std::string &folder);
    Result<> keep();

    // Adds to each backend of FastPath::show() what is known of it.
    void describe(json &shown) const;
    [[nodiscard]] std::vector<Metric> metrics() const;

    // What the verbs answer and do: see verbs.hpp.
    [[nodiscard]] json health() const;
    [[nodiscard]] json feedback() const;
    Result<BackendKey> find(const Request &request) const;
    // Null in no more than the tests of the fast path alone.
    [[nodiscard]] Monitor *monitor() const { return monitor_.get(); }

private:
    [[nodiscard]] std::vector<Service> weigh(std::vector<Service> services,
                                             const std::vector<WatchedService> &watched) const;

    std::shared_ptr<Monitor> monitor_; // none before restore()
    std::vector<Service> services_;    // of the section in force
    std::vector<WatchedService> watched_;
    bool told_ = false; // the monitor knows of watched_
};

// What the verbs find in the fast path that they are called with.
class HasWeights
{
public:
    virtual ~HasWeights() = default;
    virtual Weights &weights() = 0;
    // Brings the slots to the weights of now, as each tick() does.
    virtual Result<> reweigh() = 0;
};

// GET /health and /feedback, and the drains.
std::vector<LiveRoute> weights_routes();

} // namespace evnf::elb
