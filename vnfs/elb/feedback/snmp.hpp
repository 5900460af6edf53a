// SPDX-License-Identifier: GPL-2.0-or-later
// Asks SNMP agents for the values of indices, by Net-SNMP. See probe/probe.hpp.
#pragma once

#include <map>

#include "vnfs/elb/feedback/settings.hpp"
#include "vnfs/elb/probe/probe.hpp"

namespace evnf::elb
{

class SnmpProbes : public Probes
{
public:
    // One value for each index, in their order.
    using Done = std::function<void(const Result<std::vector<double>> &)>;

    SnmpProbes();
    ~SnmpProbes() override;
    // `indices` are those of SNMP alone. `timeout` is for each question.
    void start(const Address &to, const SnmpSettings &settings, std::vector<Index> indices,
               double timeout, Done done);
    void add_descriptors(std::vector<curl_waitfd> &all) const override;
    [[nodiscard]] std::optional<Time> deadline() const override;
    void run(Time now) override;

private:
    struct Exchange;
    std::vector<std::unique_ptr<Exchange>> exchanges_;
    // What v3 agents are called, as they said themselves, by address and port.
    std::map<std::string, std::string> engines_;
};

} // namespace evnf::elb
