// SPDX-License-Identifier: GPL-2.0-or-later
// Links, and what drivers say of XDP, asked of the kernel by netlink.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace evnf::preflight
{

struct LinkState {
    unsigned ifindex = 0;
    std::string name;
    bool up = false;
    bool ethernet = false;
    unsigned mtu = 0;
    std::string kind;
    unsigned lower = 0;               // the interface that it is on, or the far end of a veth
    std::optional<int> lower_network; // if that is in another network namespace: its number here
    unsigned master = 0;
    std::string address; // as sysfs writes it: "02:fc:00:00:00:01"
};

// The links of this network namespace, or the one of another.
Result<std::vector<LinkState>> read_links();
std::optional<LinkState> read_link(unsigned ifindex, int network);

// The names of what an interface's driver can do; none if the kernel cannot say.
std::optional<std::vector<std::string>> read_xdp_features(unsigned ifindex);

} // namespace evnf::preflight
