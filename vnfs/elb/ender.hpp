// SPDX-License-Identifier: GPL-2.0-or-later
// Ends the established connections of backends that serve no more, where that is asked for.
//
// They are forgotten, and each side is sent a SYN as from the other. That is no number a
// connection expects, so it answers with what it does expect (RFC 5961, section 4). This packet
// of an unknown connection is answered by a RST with the right numbers: the client's by a living
// backend, where it is placed; the backend's, which is no more given the service's address, by
// the client, or with source NAT by this host. Who does not hear the SYN is reset when it speaks
// next.
#pragma once

#include <optional>
#include <set>

#include "base/fd.hpp"
#include "vnfs/elb/connections.hpp"

namespace evnf::elb
{

class Ender
{
public:
    // For tick(): of those that are `over` now, once for each time that they become so, a part
    // of the table at a time.
    Result<> tick(Connections &connections, const std::set<unsigned> &over);
    [[nodiscard]] unsigned long ended() const { return ended_; }

private:
    Result<> walk(Connections &connections);
    void tell(const flow_key &flow);

    std::set<unsigned> done_; // those of `over` that have no connections any more
    std::set<unsigned> under_way_;
    std::uint32_t at_ = 0;
    std::optional<Fd> ipv4_, ipv6_; // raw sockets, once they are needed
    unsigned long ended_ = 0;
};

} // namespace evnf::elb
