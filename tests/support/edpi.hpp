// SPDX-License-Identifier: GPL-2.0-or-later
// edpi's fast path in a real chain, for tests, and a plain model of its accounting.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "base/net.hpp"
#include "edpi.skel.h"
#include "support/chain.hpp"
#include "vnfs/edpi/flows.hpp"
#include "vnfs/edpi/key.h"
#include "vnfs/edpi/section.hpp"

namespace evnf::test
{

using edpi::Flows;
using edpi::Inspector;

// What a flow is, as records tell it: both ends and what else tells flows apart.
struct FlowName {
    std::string one, other; // "address port"; the lesser first
    std::string rest;       // protocol, kind, tags

    friend auto operator<=>(const FlowName &, const FlowName &) = default;
};
struct FlowCounts {
    std::uint64_t packets[2] = {0, 0}; // from the lesser end, from the other
    std::uint64_t bytes[2] = {0, 0};

    friend bool operator==(const FlowCounts &, const FlowCounts &) = default;
};
using Accounts = std::map<FlowName, FlowCounts>;

// Adds to a flow; `from` and `to` as in FlowName, in the direction of the packets.
inline void account(Accounts &to, const std::string &from, const std::string &at,
                    const std::string &rest, std::uint64_t packets, std::uint64_t bytes)
{
    const bool swapped = at < from;
    FlowCounts &c = to[swapped ? FlowName{at, from, rest} : FlowName{from, at, rest}];
    c.packets[swapped] += packets;
    c.bytes[swapped] += bytes;
}

// A packet, as the parser has it.
inline void account(Accounts &to, const pkt &p)
{
    const bool ports = p.l4 == PKT_L4_PORTS;
    const auto end = [&](const ip_addr &a, __be16 port) {
        return Address(a).text() + " " + (ports ? std::to_string(ntohs(port)) : "-");
    };
    std::string rest = protocol_text(p.flow.proto);
    if (p.l4 == PKT_L4_FRAGMENT)
        rest += " fragments";
    if (p.l4 == PKT_L4_BAD || p.l4 == PKT_L4_UNREAD)
        rest += " unread";
    for (unsigned i = 0; i < p.vlans; ++i)
        if (p.vlan_tci[i] & 0xfff)
            rest += " " + std::to_string(p.vlan_tci[i] & 0xfff);
    account(to, end(p.flow.saddr, p.flow.sport), end(p.flow.daddr, p.flow.dport), rest, 1, p.len);
}

// A record.
inline void account(Accounts &to, const json &r)
{
    const auto end = [&](const std::string &key) {
        const std::string port = key + "_port";
        return r[key].get<std::string>() + " " + (r.contains(port) ? r[port].dump() : "-");
    };
    std::string rest = r["protocol"];
    if (r.contains("only"))
        rest += " " + r["only"].get<std::string>();
    for (const auto &id : r.value("vlan", json::array()))
        rest += " " + id.dump();
    const std::string from = end("source"), at = end("destination");
    if (r["packets"] != 0)
        account(to, from, at, rest, r["packets"], r["bytes"]);
    if (r["packets_back"] != 0)
        account(to, at, from, rest, r["packets_back"], r["bytes_back"]);
}

// Packets of few flows, both ways, of all kinds, some of them malformed.
inline Bytes any_packet(Random &random, unsigned hosts)
{
    Frame f = random_frame(random);
    const bool v6 = f.src.find(':') != std::string::npos;
    const auto host = [&] {
        const std::string n = std::to_string(1 + roll(random, hosts));
        return (v6 ? "2001:db8::" : "192.0.2.") + n;
    };
    f.src = host();
    f.dst = host();
    f.sport = static_cast<std::uint16_t>(1000 + roll(random, 3));
    f.dport = static_cast<std::uint16_t>(1000 + roll(random, 3));
    if (roll(random, 3) == 0)
        f.vlans.clear();
    Bytes bytes = build(f);
    return roll(random, 8) == 0 ? mutate(std::move(bytes), random) : bytes;
}

// root -> edpi -> recorder, with a table of so many flows.
class Edpi : public ChainFixture
{
public:
    explicit Edpi(unsigned flows = 4096, json more = json::object())
    {
        more["flows"] = flows;
        section = must(edpi::check_section(more, nullptr));
        edpi::Table::set_size(maps, flows);
        stage.emplace(must(bpf::Skeleton<edpi_bpf>::load(maps)));
        must(must(bpf::Map<__u32, edpi_settings>::bind(maps, "edpi_setting"))
                 .put(0, edpi::settings_of(section)));
        add_stage(program(stage->operator->()->progs.edpi));
    }

    // What a daemon makes of the table.
    std::unique_ptr<Flows> flows_with(Flows::Sink sink)
    {
        Flows::Inspectors one;
        one.push_back(must(Inspector::make("", edpi::limits_of(section), 1024)));
        auto flows =
            std::make_unique<Flows>(must(edpi::Table::bind(maps)), std::move(one), std::move(sink));
        flows->set(edpi::timeouts_of(section));
        return flows;
    }

    // The slot of the flow that a packet is of.
    std::uint32_t slot_of(const pkt &p)
    {
        edpi_key key{};
        edpi_key_of(&p, &key);
        const auto slot = must(bpf::Map<edpi_key, __u32>::bind(maps, "edpi_index")).get(key);
        REQUIRE(slot);
        return *slot;
    }

    json section;
    std::optional<bpf::Skeleton<edpi_bpf>> stage;
};

} // namespace evnf::test
