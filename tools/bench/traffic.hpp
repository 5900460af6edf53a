// SPDX-License-Identifier: GPL-2.0-or-later
// What the benchmark sends, and the rules and backends that it meets.
#pragma once

#include "tests/support/frame.hpp"
#include "vnfs/vnf.hpp"

namespace evnf::bench
{

using test::Bytes;
using test::Frame;

// TCP packets to one service: of established connections, or those that open new ones.
struct Traffic {
    unsigned flows;
    unsigned size; // of each frame, without FCS
    int family = 4;
    bool opening = false;
    unsigned client = 1; // the last number of the first client's address
};

extern const std::string service_address, service_address6;
extern const std::string clients, clients6; // all flows are from these networks
extern const std::vector<std::string> backend_addresses, backend_addresses6;

// With what it takes for the headers.
std::size_t frame_size(const Traffic &traffic);
// A packet of flow 0.
Frame frame_of(const Traffic &traffic, std::uint8_t tcp_flags);

// A section of efw with so many rules, of which the last accepts the traffic and no other
// matches it.
json efw_section(unsigned rules);
// The same, but the last does not match either: the default accepts.
json efw_section_without(unsigned rules);
// A section of elb with room for the flows; of a service that they are for, or another.
json elb_section(unsigned flows, int family = 4, bool theirs = true);

} // namespace evnf::bench
