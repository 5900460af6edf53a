// SPDX-License-Identifier: GPL-2.0-or-later
// Words of HAProxy's that several directives use: times, addresses with ports.
#pragma once

#include <optional>
#include <string>

#include "base/net.hpp"

namespace evnf::elb::haproxy
{

// "2s", "500ms", "3000" (milliseconds): seconds.
Result<double> parse_time(const std::string &text);

// Where something listens or is: "192.0.2.1:80", ":80", "*:80", "[::]:80-90", ":::80",
// "10.0.0.1", "10.0.0.1:+1000".
struct Target {
    std::optional<Address> address; // none: all
    bool ipv6 = false;              // of all: those of IPv6
    enum class Ports { none, given, offset };
    Ports ports = Ports::none;
    int first = 0, last = 0; // of an offset: both are it
};
Result<Target> parse_target(const std::string &text);

} // namespace evnf::elb::haproxy
