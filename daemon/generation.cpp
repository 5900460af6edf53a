// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/generation.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include "daemon/compose.hpp"
#include "forward.skel.h"
#include "reenter.skel.h"
#include "resume.skel.h"
#include "root.skel.h"

namespace evnf
{

namespace
{

// The section in force until now, if the instance was in a chain: else its counters are
// nobody's, and start at zero.
json running_section(const Plan &plan, const Instance &instance)
{
    if (!plan.running.is_object())
        return json();
    for (const auto &chain : chains_of(plan.running)) {
        for (const auto &split : chain.splits)
            if (split.name == instance.name)
                return split.section;
        if (chain.uses(instance.name))
            for (const auto &i : instances_of(plan.running))
                if (i.name == instance.name && i.type == instance.type)
                    return i.section;
    }
    return json();
}

} // namespace

bool Plan::has_workers() const
{
    return std::any_of(instances.begin(), instances.end(), [](const Instance &i) {
        return i.exit == EXIT_XSK || i.type->descriptor.copies;
    });
}

bool Plan::resumes() const
{
    return follows_resuming || resumes_itself();
}

bool Plan::resumes_itself() const
{
    for (const auto &i : instances)
        if (i.exit != EXIT_STACK)
            return true;
    for (const auto &chain : chains)
        for (const auto &place : chain.places) {
            if (place.kind != Place::Kind::stage)
                continue;
            // Where the kernel has the last word, it needs no way back.
            const auto next = chain.places[place.next[NEXT & (CHAIN_OUTPUTS - 1)]].kind;
            if (next == Place::Kind::stage || next == Place::Kind::drop)
                return true;
        }
    return false;
}

bool Plan::is_idle(const Place &place) const
{
    if (place.kind != Place::Kind::stage)
        return false;
    const Instance &i = instance(place.instance);
    return i.type->idle && i.type->idle(i.section);
}

std::size_t Plan::met(const Chain &chain, std::size_t place) const
{
    while (is_idle(chain.places[place]))
        place = chain.places[place].next[NEXT & (CHAIN_OUTPUTS - 1)];
    return place;
}

const Instance &Plan::instance(const std::string &name) const
{
    return *std::find_if(instances.begin(), instances.end(),
                         [&](const Instance &i) { return i.name == name; });
}

Generation::Generation(Plan plan, const Pins &pins)
    : plan_(std::move(plan)),
      pins_(pins),
      maps_(pins.maps())
{
    maps_.set_constant("chain_resumes", plan_.resumes());
    maps_.set_constant("chain_place_tag", plan_.place_tag());
    maps_.set_constant("chain_observe", plan_.observe);
}

Generation::~Generation()
{
    for (const auto &[name, loaded] : instances_)
        if (loaded.migrated_from && !committed_)
            pins_.remove_state(name, plan_.instance(name).type->state_version);
}

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
    if (plan_.resumes()) {
        auto resume = bpf::Skeleton<resume_bpf>::load(maps_);
        if (!resume)
            return resume.error();
        resume_ = std::make_unique<bpf::Skeleton<resume_bpf>>(*std::move(resume));
    }

    for (const auto &instance : plan_.instances)
        if (auto r = load_instance(instance); !r)
            return std::move(r).context(instance.name);
    unsigned port = 0;
    for (const auto &chain : plan_.chains) {
        if (auto r = load_roots(chain, port); !r)
            return r;
        if (auto r = load_taps(chain); !r)
            return r;
        if (auto r = fill_slots(chain); !r)
            return std::move(r).context("chain " + chain.name);
    }
    if (auto r = fill_ports(); !r)
        return r;
    if (auto r = start_workers(); !r)
        return r;
    return clear_fresh();
}

Result<> Generation::start_workers()
{
    if (!plan_.has_workers())
        return Unit{};
    for (const auto &chain : plan_.chains)
        for (const auto &place : chain.places)
            if (place.kind == Place::Kind::stage)
                by_slot_[plan_.slots.at(slot_place(chain, place))] =
                    instances_.at(place.instance).fast_path.get();
    auto workers = Workers::start(maps_, [this](unsigned slot) {
        const auto it = by_slot_.find(slot);
        return it == by_slot_.end() ? nullptr : it->second;
    });
    if (!workers)
        return workers.error();
    workers_ = *std::move(workers);
    return Unit{};
}

Result<> Generation::load_instance(const Instance &instance)
{
    const auto versions = pins_.state_versions(instance.name);
    auto folder = pins_.instance_maps(instance.name, instance.type->state_version);
    if (!folder)
        return folder.error();
    Loaded loaded;
    loaded.maps = std::make_unique<bpf::MapSet>(*folder, &maps_);
    loaded.maps->maps_only(); // each place gets a copy of the program, see load_stage()
    auto fast_path =
        instance.type->load(*loaded.maps, instance.section, running_section(plan_, instance));
    if (!fast_path)
        return fast_path.error();
    loaded.fast_path = *std::move(fast_path);
    if (auto r = read_objects(instance, loaded); !r)
        return r;
    if (resume_) {
        bpf::MapSet tc_maps("", loaded.maps.get());
        const auto &built_in = stage_objects(instance.type->name).tc;
        auto tc = bpf::Object::load(tc_maps, instance.type->name + "_tc",
                                    loaded.tc_object.empty() ? built_in : loaded.tc_object);
        if (!tc)
            return tc.error();
        loaded.tc = *std::move(tc);
    }
    if (auto r = loaded.maps->carry(); !r)
        return r;
    instances_.emplace(instance.name, std::move(loaded));
    return migrate_state(instance, versions);
}

// Only root may say what runs in the kernel, whoever may steer it.
Result<> Generation::read_objects(const Instance &instance, Loaded &loaded) const
{
    if (instance.objects.empty())
        return Unit{};
    for (const auto &[file, bytes] :
         {std::pair{instance.type->name + ".bpf.o", &loaded.xdp_object},
          std::pair{instance.type->name + "_tc.bpf.o", &loaded.tc_object}}) {
        const std::string path = instance.objects + "/" + file;
        struct stat info {
        };
        std::ifstream in(path, std::ios::binary);
        if (!in || ::stat(path.c_str(), &info))
            return sys_error("read " + path);
        if (info.st_uid != 0 || (info.st_mode & (S_IWGRP | S_IWOTH)))
            return bad_input(path + " can be written by others than root: chown root, chmod go-w",
                             "/" + instance.name + "/objects");
        const std::string text(std::istreambuf_iterator<char>(in), {});
        const auto whole = std::as_bytes(std::span(text));
        bytes->assign(whole.begin(), whole.end());
    }
    return Unit{};
}

// State of another version of the VNF becomes this one's, if it can say how.
Result<> Generation::migrate_state(const Instance &instance, const std::vector<unsigned> &versions)
{
    const VnfType &type = *instance.type;
    if (versions.empty() || versions == std::vector{type.state_version})
        return Unit{};
    const unsigned from = *std::find_if(versions.begin(), versions.end(),
                                        [&](unsigned v) { return v != type.state_version; });
    auto &loaded = instances_.at(instance.name);
    loaded.migrated_from = from;
    if (!type.migrate)
        return bad_input("the running " + instance.name + " keeps its state in layout " +
                         std::to_string(from) + ", this evnfd in layout " +
                         std::to_string(type.state_version) +
                         " and cannot convert it: go on with the old evnfd, or end that with "
                         "evnfd --detach (established connections and counters are then lost)");
    return convert(instance.name);
}

Result<> Generation::convert(const std::string &instance)
{
    const auto &loaded = instances_.at(instance);
    if (!loaded.migrated_from)
        return Unit{};
    auto old = pins_.instance_maps(instance, loaded.migrated_from);
    if (!old)
        return old.error();
    for (const auto &entry : std::filesystem::directory_iterator(*old)) {
        const std::string name = entry.path().filename();
        const Fd from(bpf_obj_get(entry.path().c_str()));
        auto to = loaded.maps->fd(name);
        if (!from || !to)
            continue; // the new version has no such map
        if (auto r =
                plan_.instance(instance).type->migrate(loaded.migrated_from, name, from.get(), *to);
            !r)
            return std::move(r).context("convert " + name);
    }
    return Unit{};
}

Result<> Generation::commit()
{
    for (auto &[name, loaded] : instances_) {
        if (auto r = loaded.maps->commit(); !r)
            return std::move(r).context(name);
        if (auto r = convert(name); !r)
            return std::move(r).context(name);
        if (loaded.migrated_from)
            pins_.remove_state(name, loaded.migrated_from);
    }
    committed_ = true;
    return Unit{};
}

unsigned Generation::slot_of(const Chain &chain, std::size_t place) const
{
    return plan_.slots.at(slot_place(chain, chain.places[plan_.met(chain, place)]));
}

Result<> Generation::load_roots(const Chain &chain, unsigned &port)
{
    const bool wire = chain.has(Place::Kind::wire);
    for (const auto &entry : chain.entries) {
        const auto link = plan_.links.find(entry.interface);
        const unsigned number = std::min<unsigned>(port++, EXIT_PORTS);
        if (link == plan_.links.end())
            continue; // gone for now; attached when it comes back
        auto root = bpf::Skeleton<root_bpf>::load(maps_, [&](root_bpf &skel) {
            const Layer depth = depth_needed(chain, entry.first, plan_.instances);
            skel.rodata->place_slot = plan_.slots.at(root_place(chain, entry.interface));
            skel.rodata->place_next = slot_of(chain, entry.first);
            skel.rodata->root_depth = static_cast<__u32>(depth);
            skel.rodata->root_port = number;
            skel.rodata->root_check_mac = !wire;
            for (const std::size_t i : chain.reached(entry.first))
                if (chain.places[i].kind == Place::Kind::wire)
                    skel.rodata->root_not_ip_slot =
                        plan_.slots.at(slot_place(chain, chain.places[i]));
            std::copy(link->second.mac.begin(), link->second.mac.end(), skel.rodata->root_mac);
        });
        if (!root)
            return root.error();
        roots_.emplace(entry.interface, *std::move(root));
    }
    return Unit{};
}

// What comes in by a tap goes on after the place whose slow path is behind it.
Result<> Generation::load_taps(const Chain &chain)
{
    for (const auto &entry : chain.entries)
        for (const std::size_t i : chain.reached(entry.first)) {
            const Place &place = chain.places[i];
            if (place.kind != Place::Kind::stage)
                continue;
            const Instance &instance = plan_.instance(place.instance);
            const auto tap = plan_.links.find(instance.tap);
            if (tap == plan_.links.end() || taps_.contains(instance.tap))
                continue;
            const unsigned slot = plan_.slots.at(slot_place(chain, place));
            auto reenter = bpf::Skeleton<reenter_bpf>::load(maps_, [&](reenter_bpf &skel) {
                skel.rodata->place_slot = slot;
                skel.rodata->reenter_routed = !chain.has(Place::Kind::wire);
                if (const auto link = plan_.links.find(entry.interface); link != plan_.links.end())
                    skel.rodata->reenter_ifindex = link->second.ifindex;
            });
            if (!reenter)
                return reenter.error();
            taps_.emplace(instance.tap, *std::move(reenter));
        }
    return Unit{};
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
    auto taps = bpf::Map<__u32, __u32>::bind(maps_, "exit_taps");
    if (!taps)
        return taps.error();
    return taps->put(slot, ifindex).context("let " + instance.tap + " transmit");
}

std::map<std::string, int> Generation::tap_programs() const
{
    std::map<std::string, int> out;
    for (const auto &[interface, skel] : taps_)
        out[interface] = bpf_program__fd(skel->progs.reenter_tap);
    return out;
}

std::map<std::string, unsigned> Generation::xsk_ports() const
{
    std::map<std::string, unsigned> out;
    unsigned port = 0;
    for (const auto &chain : plan_.chains)
        for (const auto &entry : chain.entries) {
            const unsigned number = port++;
            if (number >= EXIT_PORTS || !plan_.links.contains(entry.interface))
                continue;
            for (const std::size_t i : chain.reached(entry.first))
                if (chain.places[i].kind == Place::Kind::stage &&
                    plan_.instance(chain.places[i].instance).exit == EXIT_XSK)
                    out[entry.interface] = number;
        }
    return out;
}

Result<int> Generation::load_stage(const Place &place, unsigned slot, unsigned next)
{
    auto &loaded = instances_.at(place.instance);
    const std::string &vnf = plan_.instance(place.instance).type->name;
    bpf::MapSet maps("", loaded.maps.get());
    maps.set_constant("place_slot", slot);
    maps.set_constant("place_next", next);
    auto object = bpf::Object::load(
        maps, vnf, loaded.xdp_object.empty() ? stage_objects(vnf).xdp : loaded.xdp_object);
    if (!object)
        return object.error();
    auto program = object->program(vnf);
    loaded.places.emplace(slot, *std::move(object));
    return program;
}

Result<int> Generation::xdp_program(const Place &place, unsigned slot, unsigned next)
{
    auto &progs = (*forward_)->progs;
    switch (place.kind) {
    case Place::Kind::stage:
        return load_stage(place, slot, next);
    case Place::Kind::route:
        return bpf_program__fd(progs.forward_route);
    case Place::Kind::wire:
        return bpf_program__fd(progs.forward_wire);
    case Place::Kind::hairpin:
        return bpf_program__fd(progs.forward_hairpin);
    case Place::Kind::host:
        return bpf_program__fd(progs.end_host);
    case Place::Kind::drop:
        break;
    }
    return bpf_program__fd(progs.end_drop);
}

Result<int> Generation::tc_program(const Place &place) const
{
    auto &progs = (*resume_)->progs;
    if (place.kind == Place::Kind::stage)
        return instances_.at(place.instance).tc->program(plan_.instance(place.instance).type->name);
    if (place.kind == Place::Kind::route)
        return bpf_program__fd(progs.end_route);
    return bpf_program__fd(place.kind == Place::Kind::drop ? progs.end_chain_drop
                                                           : progs.end_kernel);
}

Result<> Generation::fill_slots(const Chain &chain)
{
    using Table = bpf::Map<__u32, __u32>;
    auto next = Table::bind(maps_, "slot_next");
    auto programs = Table::bind(maps_, "slot_programs");
    auto wire_peers = Table::bind(maps_, "wire_peers");
    for (const auto *map : {&next, &programs, &wire_peers})
        if (!*map)
            return map->error();
    for (std::size_t i = 0; i < chain.places.size(); ++i) {
        const Place &place = chain.places[i];
        const unsigned slot = plan_.slots.at(slot_place(chain, place));
        std::set<unsigned> next_slots;
        for (const std::size_t f : chain.followers(i))
            next_slots.insert(slot_of(chain, f));
        auto program = xdp_program(place, slot, next_slots.size() == 1 ? *next_slots.begin() : 0);
        if (!program)
            return program.error();
        if (auto r = programs->put(slot, static_cast<__u32>(*program)); !r)
            return r;
        if (resume_) {
            auto tc_programs = Table::bind(maps_, "slot_tc_programs");
            auto tc = tc_program(place);
            if (!tc_programs || !tc)
                return tc_programs ? tc.error() : tc_programs.error();
            if (auto r = tc_programs->put(slot, static_cast<__u32>(*tc)); !r)
                return r;
        }
        if (place.kind == Place::Kind::stage)
            if (auto r = fill_exit(place, slot); !r)
                return r;
        if (place.kind == Place::Kind::stage)
            for (unsigned output = 0; output < CHAIN_OUTPUTS; ++output)
                if (auto r = next->put(slot * CHAIN_OUTPUTS + output,
                                       slot_of(chain, place.next[output]));
                    !r)
                    return r;
        if (const auto peer = plan_.links.find(place.interface); peer != plan_.links.end())
            if (auto r = wire_peers->put(slot, peer->second.ifindex); !r)
                return r;
    }
    for (const auto &entry : chain.entries)
        if (auto r = next->put(plan_.slots.at(root_place(chain, entry.interface)) * CHAIN_OUTPUTS,
                               slot_of(chain, entry.first));
            !r)
            return r;
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
    for (std::size_t i = 0; i < chain.places.size(); ++i)
        if (chain.places[i].kind == Place::Kind::stage)
            if (auto r = guard(plan_.instance(chain.places[i].instance).tap,
                               plan_.slots.at(slot_place(chain, chain.places[i])));
                !r)
                return r;
    return Unit{};
}

// Only interfaces of the chains: their drivers have XDP, so they can also transmit.
Result<> Generation::fill_ports()
{
    auto ports = bpf::Map<__u32, __u32>::bind(maps_, "transmit_ports");
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

int Generation::root_program(const std::string &interface) const
{
    const auto root = roots_.find(interface);
    return root == roots_.end() ? -1 : bpf_program__fd(root->second->progs.root);
}

int Generation::take_program() const
{
    return resume_ ? bpf_program__fd((*resume_)->progs.place_take) : -1;
}

int Generation::resume_program(const Link &link) const
{
    if (!resume_)
        return -1;
    return bpf_program__fd(link.ethernet ? (*resume_)->progs.resume
                                         : (*resume_)->progs.resume_bare);
}

FastPath *Generation::fast_path(const std::string &instance) const
{
    const auto it = instances_.find(instance);
    return it == instances_.end() ? nullptr : it->second.fast_path.get();
}

Result<> Generation::pin(const Pins &pins) const
{
    const std::string folder = pins.generation(plan_.number);
    if (::mkdir(folder.c_str(), 0700))
        return sys_error("make " + folder);
    for (const std::string name :
         {"slot_programs", "slot_tc_programs", "place_guards", "place_generations"}) {
        auto programs = maps_.fd(name);
        if (!programs && name != "slot_programs" && !resume_)
            continue;
        if (!programs)
            return programs.error();
        if (bpf_obj_pin(*programs, (folder + "/" + name).c_str()))
            return sys_error("pin " + folder + "/" + name);
    }
    return Unit{};
}

counter Generation::slot_counter(unsigned slot, unsigned reason) const
{
    return counters_->sum(slot * CHAIN_MAX_REASONS + reason);
}

} // namespace evnf
