// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/edpi/record.hpp"

#include <arpa/inet.h>
#include <time.h>

#include <string>

#include "base/net.hpp"

namespace evnf::edpi
{

namespace
{

using nlohmann::json;

std::int64_t clock_ns(clockid_t clock)
{
    timespec t{};
    ::clock_gettime(clock, &t);
    return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

// Of the Unix epoch.
std::int64_t wall_ms(std::uint64_t monotonic_ns)
{
    const auto past = clock_ns(CLOCK_MONOTONIC_COARSE) - static_cast<std::int64_t>(monotonic_ns);
    return (clock_ns(CLOCK_REALTIME) - past) / 1'000'000;
}

std::string tcp_flags(unsigned flags)
{
    constexpr const char *letters = "FSRPAUEC"; // RFC 9293, from bit 0 on
    std::string out;
    for (unsigned i = 0; i < 8; ++i)
        if (flags >> i & 1)
            out += letters[i];
    return out;
}

const char *state_text(const edpi_flow &f)
{
    if (f.state == EDPI_OPEN)
        return f.copied ? "sampling" : "new";
    return f.master || f.app ? "classified" : "given up";
}

} // namespace

std::uint64_t now_ns()
{
    return static_cast<std::uint64_t>(clock_ns(CLOCK_MONOTONIC_COARSE));
}

json flow_json(std::uint32_t slot, const edpi_key &key, const edpi_flow &flow, const Counts &counts)
{
    const unsigned from = flow.seen & EDPI_SEEN_FROM_1 ? 1 : 0, to = 1 - from;
    json out{{"record", "flow"},
             {"id", std::to_string(slot) + "-" + std::to_string(flow.first)},
             {"first_ms", wall_ms(flow.first)},
             {"last_ms", wall_ms(flow.last)},
             {"protocol", protocol_text(key.proto)},
             {"source", Address(key.addr[from]).text()},
             {"destination", Address(key.addr[to]).text()},
             {"packets", counts.packets[from]},
             {"bytes", counts.bytes[from]},
             {"packets_back", counts.packets[to]},
             {"bytes_back", counts.bytes[to]},
             {"state", state_text(flow)},
             {"application_id", std::to_string(flow.master) + "." + std::to_string(flow.app)},
             {"copied", flow.copied}};
    if (key.kind == EDPI_PORTS) {
        out["source_port"] = ntohs(key.port[from]);
        out["destination_port"] = ntohs(key.port[to]);
    }
    if (key.kind == EDPI_FRAGMENT || key.kind == EDPI_UNREAD)
        out["only"] = key.kind == EDPI_FRAGMENT ? "fragments" : "unread";
    for (const auto id : key.vlan)
        if (id)
            out["vlan"].push_back(id);
    if (key.proto == IPPROTO_TCP) {
        out["tcp_flags"] = tcp_flags(flow.seen >> EDPI_SEEN_FLAGS(from));
        out["tcp_flags_back"] = tcp_flags(flow.seen >> EDPI_SEEN_FLAGS(to));
    }
    if (flow.seen & EDPI_SEEN_COPY_LOST)
        out["copies_lost"] = true;
    return out;
}

json unaccounted_json(const counter &c)
{
    return {{"record", "unaccounted"},
            {"last_ms", wall_ms(now_ns())},
            {"packets", c.packets},
            {"bytes", c.bytes}};
}

} // namespace evnf::edpi
