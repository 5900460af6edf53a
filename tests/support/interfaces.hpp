// SPDX-License-Identifier: GPL-2.0-or-later
// A network namespace of this process alone, with the interfaces that rules speak of.
#pragma once

#include <net/if.h>
#include <sched.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <map>
#include <string>

#include "support/rulesets.hpp"

namespace evnf::test
{

inline void sh(const std::string &command)
{
    INFO(command);
    REQUIRE(std::system(command.c_str()) == 0);
}

// By ifindex. What is sent into one whose name ends in - comes out of the one without.
// Gone with the process.
inline const std::map<__u32, std::string> &test_interfaces()
{
    static const auto made = [] {
        REQUIRE(::unshare(CLONE_NEWNET) == 0);
        std::map<__u32, std::string> out;
        for (const std::string name : efw::model::interface_names) {
            sh("ip link add " + name + " type veth peer name " + name + "-");
            for (const auto &end : {name, name + "-"})
                sh("sysctl -qw net.ipv6.conf." + end + ".disable_ipv6=1; ip link set " + end +
                   " up");
            out[::if_nametoindex(name.c_str())] = name;
        }
        return out;
    }();
    return made;
}

} // namespace evnf::test
