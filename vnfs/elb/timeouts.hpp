// SPDX-License-Identifier: GPL-2.0-or-later
// How long a connection may be silent: elb's `timeouts` tables. What a service's table does not
// say, [elb.timeouts] does.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "vnfs/elb/section.hpp"

namespace evnf::elb
{

// In seconds without a packet, after which a connection is forgotten.
struct Timeouts {
    std::uint32_t tcp_established = 7440; // two hours and four minutes (RFC 5382, REQ-5)
    std::uint32_t sctp_established = 210; // some heartbeats (RFC 9260), as the kernel has it
    // Of TCP and SCTP:
    std::uint32_t fin_wait = 240; // one side has sent a FIN (RFC 5382, REQ-5)
    std::uint32_t close = 60;     // both have, or one a RST
    std::uint32_t udp = 300;      // RFC 4787, REQ-5
    // From a backend's answer on, while the client has not shown that it has seen it. Of all
    // services.
    std::uint32_t opening = 240;
};

// Those of connections, by their backends.
struct BackendTimeouts {
    // NOLINTNEXTLINE(google-explicit-constructor): without services that have their own
    BackendTimeouts(const Timeouts &of_all = {}) : all(of_all) {}

    [[nodiscard]] const Timeouts &of(unsigned backend) const
    {
        const auto it = own.find(backend);
        return it == own.end() ? all : it->second;
    }

    Timeouts all;
    std::map<unsigned, Timeouts> own; // by id, of services with a table of their own
};

constexpr unsigned longest_timeout = 31 * 24 * 3600; // as ipvsadm has it

enum class TimeoutLevel { all, service };

// Whether one table is good.
Result<> check_timeouts(const json &table, const std::string &where, TimeoutLevel level);
// Of a checked section.
BackendTimeouts timeouts_of(const json &section);
// Those of its service of this index, if that has a table of its own.
std::optional<Timeouts> own_timeouts(const json &section, std::size_t service);
// As the API shows them.
json to_json(const Timeouts &timeouts);

// How long a connection with these ends seen (ELB_SEEN_*) may be silent.
std::uint32_t timeout_of(const Timeouts &timeouts, std::uint8_t protocol, unsigned to_backend,
                         unsigned to_client);
// The least that it can be.
std::uint32_t least_timeout(const Timeouts &timeouts);

} // namespace evnf::elb
