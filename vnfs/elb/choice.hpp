// SPDX-License-Identifier: GPL-2.0-or-later
// How a service chooses the backend of a new connection: its keys "balance" and "affinity".
#pragma once

#include <cstdint>

#include "vnfs/vnf.hpp"

namespace evnf::elb
{

struct Choice {
    bool least_connections = false;
    bool by_source = false;
    unsigned prefix = 0;         // bits of an address that is one client
    std::uint32_t timeout = 300; // seconds after a client's last new connection; as ipvsadm has it
    friend bool operator==(const Choice &, const Choice &) = default;
};

// The keys of a service's table that say so.
inline const std::vector<std::string> choice_keys{"balance", "affinity", "affinity_prefix",
                                                  "affinity_timeout"};

// Of a service of this family, 4 or 6.
Result<Choice> read_choice(const json &table, const std::string &where, unsigned family);

} // namespace evnf::elb
