// SPDX-License-Identifier: GPL-2.0-or-later
// elb's source NAT by the plainest means: who has which way back, and what a packet must
// have become, built anew with checksums from scratch.
#pragma once

#include <map>
#include <set>

#include "support/elb_connected.hpp"

namespace evnf::test
{

struct Side {
    std::string address;
    unsigned port = 0;
    auto operator<=>(const Side &) const = default;
};

inline Side side(const ip_addr &a, __be16 port)
{
    return {address_of(a), ntohs(port)};
}

// Both ends of a packet rewritten and nothing else.
inline Frame between(Frame f, const Side &from, const Side &to)
{
    f.src = from.address;
    f.sport = static_cast<std::uint16_t>(from.port);
    f.dst = to.address;
    f.dport = static_cast<std::uint16_t>(to.port);
    return f;
}

inline json source_nat(json service, const std::vector<std::string> &sources,
                       const std::string &ports = "1024-32767")
{
    service["forward"] = "source_nat";
    service["sources"] = sources;
    service["source_ports"] = ports;
    return service;
}

// Connections by their ways back: no two that live may have one.
class WaysBack
{
public:
    // The packet of `who` was seen to leave as `source` -> `backend`.
    void placed(const Side &who, const Side &source, const Side &backend)
    {
        const auto it = ways_.find({source, backend});
        if (it != ways_.end() && it->second != who &&
            at_.at(it->second) == std::pair(source, backend)) // has not gone elsewhere since
            REQUIRE_FALSE(living_.contains(it->second));
        ways_[{source, backend}] = who;
        const auto known = at_.find(who);
        if (known != at_.end() && living_.contains(who))
            REQUIRE(known->second == std::pair(source, backend)); // stays as it is
        at_[who] = {source, backend};
    }
    void lives(const Side &who) { living_.insert(who); }
    void ends(const Side &who) { living_.erase(who); }
    [[nodiscard]] bool living(const Side &who) const { return living_.contains(who); }
    [[nodiscard]] std::size_t living() const { return living_.size(); }

private:
    std::map<std::pair<Side, Side>, Side> ways_;
    std::map<Side, std::pair<Side, Side>> at_;
    std::set<Side> living_;
};

} // namespace evnf::test
