// SPDX-License-Identifier: GPL-2.0-or-later
// What, beside its rules, the host does with packets, as far as a plan depends on it.
#pragma once

#include <string>
#include <vector>

#include "base/net.hpp"
#include "match/field.hpp"

namespace evnf::efw::offload
{

struct Interface {
    std::string name;
    bool forwarding4 = false; // net.ipv4.conf.NAME.forwarding
    bool forwarding6 = false; // and that of "all", which IPv6 asks first
    int rp_filter = 0;        // the greater of its own and that of "all"
    bool enslaved = false;    // to a bridge, bond or VRF: its packets go another way
    friend bool operator==(const Interface &, const Interface &) = default;
};

struct Host {
    std::vector<Interface> interfaces; // by which efw is to decide, at most 64

    // Both families together; IPv4 is mapped. In the routing table `local`:
    match::Ranges<Address> local;     // addresses of the host, and whole prefixes of it
    match::Ranges<Address> broadcast; // to which the host listens, as to anycast addresses
    bool local_table_first = true;    // no rule of ip-rule(8) stands before it

    // Whether connections are tracked, also where no rule asks for it. Rules that ask for
    // it make it so by themselves.
    bool conntrack = false;
    bool conntrack_checksum = true; // net.netfilter.nf_conntrack_checksum
    bool expectations = false;      // some connection is expected: RELATED is possible
    bool ipsec = false;             // there are IPsec policies, which drop packets too
    friend bool operator==(const Host &, const Host &) = default;
};

// Of the network namespace of the calling thread.
Result<Host> read_host(const std::vector<std::string> &interfaces);

} // namespace evnf::efw::offload
