// SPDX-License-Identifier: GPL-2.0-or-later
// Reads facts off this host. What cannot be read is not known; nothing is changed.
#pragma once

#include <string>
#include <vector>

#include "tools/preflight/facts.hpp"

namespace evnf::preflight
{

Host read_host();
// Of this network namespace; without names, of each Ethernet interface that is up.
std::vector<Interface> read_interfaces(const std::vector<std::string> &names,
                                       const std::string &pin_root);

// The one line of a file; empty if it cannot be read.
std::string line_of(const std::string &path);
// "0-2,5", as the kernel writes CPUs.
std::vector<unsigned> parse_cpus(const std::string &text);

} // namespace evnf::preflight
