// SPDX-License-Identifier: GPL-2.0-or-later
// What a generation writes to its tables: which program is in which slot, which slot follows,
// where slow packets leave and come back, which interfaces may transmit.
#include <set>

#include "abi/place.h"
#include "daemon/generation.hpp"

namespace evnf
{

namespace
{

using Table = bpf::Map<__u32, __u32>;

} // namespace

Result<> Generation::fill_slots(const Chain &chain)
{
    auto wire_peers = Table::bind(maps_, "wire_peers");
    if (!wire_peers)
        return wire_peers.error();
    for (std::size_t i = 0; i < chain.places.size(); ++i) {
        const Place &place = chain.places[i];
        const unsigned slot = plan_.slots.at(slot_place(chain, place));
        if (auto r = fill_programs(chain, i); !r)
            return r;
        if (place.kind == Place::Kind::stage)
            if (auto r = fill_exit(place, slot); !r)
                return r;
        if (const auto peer = plan_.links.find(place.interface); peer != plan_.links.end())
            if (auto r = wire_peers->put(slot, peer->second.ifindex); !r)
                return r;
    }
    return Unit{};
}

Result<> Generation::fill_programs(const Chain &chain, std::size_t index)
{
    const Place &place = chain.places[index];
    const unsigned slot = plan_.slots.at(slot_place(chain, place));
    std::set<unsigned> next_slots;
    for (const std::size_t f : chain.followers(index))
        next_slots.insert(slot_of(chain, f));
    auto programs = Table::bind(maps_, "slot_programs");
    auto program = xdp_program(place, slot, next_slots.size() == 1 ? *next_slots.begin() : 0);
    if (!programs || !program)
        return programs ? program.error() : programs.error();
    if (auto r = programs->put(slot, static_cast<__u32>(*program)); !r)
        return r;
    if (!resume_)
        return Unit{};
    auto tc_programs = Table::bind(maps_, "slot_tc_programs");
    auto tc = tc_program(place);
    if (!tc_programs || !tc)
        return tc_programs ? tc.error() : tc_programs.error();
    return tc_programs->put(slot, static_cast<__u32>(*tc));
}

Result<> Generation::fill_exit(const Place &place, unsigned slot)
{
    const Instance &instance = plan_.instance(place.instance);
    const auto tap = plan_.links.find(instance.tap);
    const unsigned ifindex = tap == plan_.links.end() ? 0 : tap->second.ifindex;
    auto exits = bpf::Map<__u32, slot_exit>::bind(maps_, "slot_exits");
    if (!exits)
        return exits.error();
    if (auto r = exits->put(slot, {instance.exit, ifindex, instance.exit_down_drops}); !r)
        return r;
    if (!ifindex)
        return Unit{};
    auto taps = Table::bind(maps_, "exit_taps");
    if (!taps)
        return taps.error();
    return taps->put(slot, ifindex).context("let " + instance.tap + " transmit");
}

Result<> Generation::fill_next(const Chain &chain)
{
    auto next = Table::bind(maps_, "slot_next");
    if (!next)
        return next.error();
    for (const auto &place : chain.places) {
        if (place.kind != Place::Kind::stage)
            continue;
        const unsigned first = plan_.slots.at(slot_place(chain, place)) * CHAIN_OUTPUTS;
        for (unsigned output = 0; output < CHAIN_OUTPUTS; ++output)
            if (auto r = next->put(first + output, slot_of(chain, place.next[output])); !r)
                return r;
    }
    for (const auto &entry : chain.entries)
        if (auto r = next->put(plan_.slots.at(root_place(chain, entry.interface)) * CHAIN_OUTPUTS,
                               slot_of(chain, entry.first));
            !r)
            return r;
    return Unit{};
}

// What comes in by an interface of the chain, or by a tap, has its place from there on.
Result<> Generation::fill_guards(const Chain &chain)
{
    if (!plan_.resumes_itself())
        return Unit{};
    auto guards = bpf::Map<__u32, place_guard>::bind(maps_, "place_guards");
    if (!guards)
        return guards.error();
    const __u32 routed = !chain.has(Place::Kind::wire);
    const auto guard = [&](const std::string &interface, unsigned slot) -> Result<> {
        const auto link = plan_.links.find(interface);
        return link == plan_.links.end() ? Result<>(Unit{})
                                         : guards->put(link->second.ifindex, {slot, 0, routed});
    };
    for (const auto &entry : chain.entries)
        if (auto r = guard(entry.interface, plan_.slots.at(root_place(chain, entry.interface))); !r)
            return r;
    for (const auto &place : chain.places)
        if (place.kind == Place::Kind::stage)
            if (auto r = guard(plan_.instance(place.instance).tap,
                               plan_.slots.at(slot_place(chain, place)));
                !r)
                return r;
    return Unit{};
}

// Only interfaces of the chains: their drivers have XDP, so they can also transmit.
Result<> Generation::fill_ports()
{
    auto ports = Table::bind(maps_, "transmit_ports");
    if (!ports)
        return ports.error();
    for (const auto &chain : plan_.chains) {
        for (const auto &name : chain.interfaces())
            if (const auto link = plan_.links.find(name); link != plan_.links.end())
                if (auto r = ports->put(link->second.ifindex, link->second.ifindex); !r)
                    return std::move(r).context("let " + name + " transmit");
    }
    return Unit{};
}

Result<> Generation::clear_fresh()
{
    for (const unsigned slot : plan_.fresh_slots)
        for (unsigned reason = 0; reason < CHAIN_MAX_REASONS; ++reason)
            if (auto r = counters_->clear(slot * CHAIN_MAX_REASONS + reason); !r)
                return r;
    return Unit{};
}

} // namespace evnf
