// SPDX-License-Identifier: GPL-2.0-or-later
// Connections of backends that their service has no more: as long as one lives, a client's new
// connection to the same host may look the same from there, and must be placed with care.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/bpf.hpp"
#include "base/net.hpp"
#include "vnfs/elb/abi.h"
#include "vnfs/elb/openings.hpp"
#include "vnfs/elb/section.hpp"

namespace evnf::elb
{

class Leftovers
{
public:
    using Time = std::chrono::steady_clock::time_point;

    static Result<Leftovers> bind(const bpf::MapSet &maps);

    // Any host may have some: of services that were before, or are those of another generation.
    void anywhere(Time now) { anywhere_ = now; }
    // These may, of backends that are in `before` and not in `wanted`.
    void gone(const std::vector<Service> &before, const std::vector<Service> &wanted, Time now);
    [[nodiscard]] bool at(const Address &host) const;

    // Looks at a part of the tables while any host is suspected: all of them in about 40 calls.
    // True if some host is suspected no more.
    Result<bool> tick(const std::vector<Service> &in_force, Time now);

private:
    using Conns = bpf::Map<flow_key, elb_conn>;

    Leftovers(OpeningSets openings, Conns conns, std::size_t size)
        : openings_(openings),
          conns_(conns),
          size_(size)
    {
    }
    [[nodiscard]] bool idle() const { return !anywhere_ && suspects_.empty(); }
    bool end_pass();

    OpeningSets openings_;
    Conns conns_;
    std::size_t size_; // of both
    std::optional<Time> anywhere_;
    std::map<Address, Time> suspects_; // since when

    struct Pass {
        Time began;
        bool in_conns = false;             // openings come first: they become connections
        std::optional<std::uint32_t> from; // none: the beginning
        std::set<Address> found;
    };
    std::optional<Pass> pass_;
};

// The names of services with plain NAT each of whose backends has, from the ports that it answers
// them from, connections of that service alone, and from each port those of one port of it; and
// that choose by their slots alone.
std::set<std::string> alone(const std::vector<Service> &services, const Leftovers &leftovers);

} // namespace evnf::elb
