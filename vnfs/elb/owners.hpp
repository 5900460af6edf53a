// SPDX-License-Identifier: GPL-2.0-or-later
// The fast path's elb_owners: whose the answers of which backends are.
#pragma once

#include <chrono>
#include <map>

#include "base/bpf.hpp"
#include "vnfs/elb/keys.hpp"

namespace evnf::elb
{

class OwnerTable
{
public:
    static Result<OwnerTable> bind(const bpf::MapSet &maps);

    // Those of backends that go stay for a time, for what they have yet to answer.
    Result<> bring(const std::vector<Service> &wanted);
    // Those that have gone long ago; or the first of too many.
    void forget(std::chrono::steady_clock::time_point now);
    [[nodiscard]] bool has_past() const { return !past_.empty(); }

private:
    using Table = bpf::Map<elb_service_key, elb_owner>;

    explicit OwnerTable(Table table) : table_(table) {}

    Table table_;
    Owners owners_; // what the table has, and of backends that have gone:
    std::map<elb_service_key, std::chrono::steady_clock::time_point, KeyOrder> past_;
};

} // namespace evnf::elb
