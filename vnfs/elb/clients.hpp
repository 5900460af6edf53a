// SPDX-License-Identifier: GPL-2.0-or-later
// Where clients were of late, for services with an affinity: forgets those whose time is over.
#pragma once

#include <map>
#include <optional>

#include "base/bpf.hpp"
#include "vnfs/elb/section.hpp"

namespace evnf::elb
{

class Clients
{
public:
    static Result<Clients> bind(const bpf::MapSet &maps);

    // Services with an affinity, from now on; clients of others are forgotten.
    void put(const std::vector<Service> &services);
    // Called about twice a second: looks at a part of the table.
    Result<> tick(std::uint32_t clock);

private:
    using Table = bpf::Map<elb_client_key, elb_client>;

    explicit Clients(Table table) : table_(table) {}

    Table table_;
    std::map<std::uint64_t, std::uint32_t> timeouts_; // by elb_choice.service
    std::optional<std::uint32_t> at_; // where it goes on looking; none: at the beginning
};

} // namespace evnf::elb
