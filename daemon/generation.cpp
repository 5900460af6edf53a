// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/generation.hpp"

#include <sys/stat.h>

#include <algorithm>

#include "forward.skel.h"
#include "root.skel.h"

namespace evnf
{

namespace
{

// The section in force until now, if its VNF was in a chain: else its counters are
// nobody's, and start at zero.
json running_section(const Plan &plan, const std::string &vnf)
{
    if (!plan.running.is_object())
        return json();
    for (const auto &chain : chains_of(plan.running))
        if (chain.uses(vnf))
            return plan.running.value(vnf, json());
    return json();
}

} // namespace

Generation::Generation(Plan plan, const Pins &pins) : plan_(std::move(plan)), maps_(pins.maps()) {}

Generation::~Generation() = default;

Result<std::unique_ptr<Generation>> Generation::build(Plan plan, const Pins &pins)
{
    std::unique_ptr<Generation> g(new Generation(std::move(plan), pins));
    if (auto r = g->load(); !r)
        return r.error();
    return g;
}

// The forwarder first: it brings the maps that all share. Rules are in place before
// any program that reads them can run.
Result<> Generation::load()
{
    auto forward = bpf::Skeleton<forward_bpf>::load(maps_);
    if (!forward)
        return forward.error();
    forward_ = std::make_unique<bpf::Skeleton<forward_bpf>>(*std::move(forward));
    auto counters = bpf::PerCpuCounters<counter>::bind(maps_, "slot_counters");
    if (!counters)
        return counters.error();
    counters_ = std::make_unique<bpf::PerCpuCounters<counter>>(*counters);

    for (const auto *type : vnf_types()) {
        const bool used = std::any_of(plan_.chains.begin(), plan_.chains.end(),
                                      [&](const Chain &c) { return c.uses(type->name); });
        if (!used)
            continue;
        auto fast_path =
            type->load(maps_, plan_.document[type->name], running_section(plan_, type->name));
        if (!fast_path)
            return std::move(fast_path).context(type->name).error();
        fast_paths_[type->name] = *std::move(fast_path);
    }
    for (const auto &chain : plan_.chains) {
        if (auto r = load_roots(chain); !r)
            return r;
        if (auto r = fill_slots(chain); !r)
            return std::move(r).context("chain " + chain.name);
    }
    if (auto r = fill_ports(); !r)
        return r;
    return clear_fresh();
}

Result<> Generation::load_roots(const Chain &chain)
{
    for (const auto &interface : chain.interfaces) {
        const auto link = plan_.links.find(interface);
        if (link == plan_.links.end())
            continue; // gone for now; attached when it comes back
        auto root = bpf::Skeleton<root_bpf>::load(maps_, [&](root_bpf &skel) {
            skel.rodata->root_slot = plan_.slots.at(root_place(chain, interface));
            skel.rodata->root_check_mac = chain.forward != Forward::wire;
            if (chain.forward == Forward::wire)
                skel.rodata->root_not_ip_slot = plan_.slots.at(forward_place(chain));
            std::copy(link->second.mac.begin(), link->second.mac.end(), skel.rodata->root_mac);
        });
        if (!root)
            return root.error();
        roots_.emplace(interface, *std::move(root));
    }
    return Unit{};
}

Result<> Generation::fill_slots(const Chain &chain)
{
    auto next = bpf::Map<__u32, __u32>::bind(maps_, "slot_next");
    auto programs = bpf::Map<__u32, __u32>::bind(maps_, "slot_programs");
    auto wire_peers = bpf::Map<__u32, __u32>::bind(maps_, "wire_peers");
    for (const auto *map : {&next, &programs, &wire_peers})
        if (!*map)
            return map->error();

    // Stages in order, then the forwarder; each place leads to the one after it.
    std::vector<std::pair<__u32, int>> places;
    for (const auto &stage : chain.stages)
        places.emplace_back(plan_.slots.at(stage_place(chain, stage)),
                            fast_paths_.at(stage)->program());
    auto &skel = *forward_;
    const bpf_program *forward = chain.forward == Forward::route  ? skel->progs.forward_route
                                 : chain.forward == Forward::wire ? skel->progs.forward_wire
                                                                  : skel->progs.forward_hairpin;
    const __u32 last = plan_.slots.at(forward_place(chain));
    places.emplace_back(last, bpf_program__fd(forward));

    for (std::size_t i = 0; i < places.size(); ++i) {
        const auto [slot, program] = places[i];
        if (auto r = programs->put(slot, static_cast<__u32>(program)); !r)
            return r;
        if (i + 1 < places.size())
            if (auto r = next->put(slot, places[i + 1].first); !r)
                return r;
    }
    for (const auto &interface : chain.interfaces)
        if (auto r = next->put(plan_.slots.at(root_place(chain, interface)), places[0].first); !r)
            return r;
    if (const auto peer = plan_.links.find(chain.wire_to); peer != plan_.links.end())
        return wire_peers->put(last, peer->second.ifindex);
    return Unit{};
}

// Only interfaces of the chains: their drivers have XDP, so they can also transmit.
Result<> Generation::fill_ports()
{
    auto ports = bpf::Map<__u32, __u32>::bind(maps_, "transmit_ports");
    if (!ports)
        return ports.error();
    for (const auto &chain : plan_.chains) {
        std::vector<std::string> names = chain.interfaces;
        if (!chain.wire_to.empty())
            names.push_back(chain.wire_to);
        for (const auto &name : names)
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

int Generation::root_program(const std::string &interface) const
{
    const auto root = roots_.find(interface);
    return root == roots_.end() ? -1 : bpf_program__fd(root->second->progs.root);
}

FastPath *Generation::fast_path(const std::string &vnf) const
{
    const auto it = fast_paths_.find(vnf);
    return it == fast_paths_.end() ? nullptr : it->second.get();
}

Result<> Generation::pin(const Pins &pins, unsigned number) const
{
    const std::string folder = pins.generation(number);
    if (::mkdir(folder.c_str(), 0700))
        return sys_error("make " + folder);
    auto programs = maps_.fd("slot_programs");
    if (!programs)
        return programs.error();
    if (bpf_obj_pin(*programs, (folder + "/slot_programs").c_str()))
        return sys_error("pin " + folder + "/slot_programs");
    return Unit{};
}

counter Generation::slot_counter(unsigned slot, unsigned reason) const
{
    return counters_->sum(slot * CHAIN_MAX_REASONS + reason);
}

} // namespace evnf
