// SPDX-License-Identifier: GPL-2.0-or-later
// The tables of iptables-legacy and ip6tables-legacy, as the kernel has them.
#pragma once

#include <string>
#include <vector>

namespace evnf::efw::offload
{

// Those that are there, of this network namespace; most hosts have none.
std::vector<std::string> legacy_tables(int family);

} // namespace evnf::efw::offload
