// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/generation.hpp"

#include <sys/stat.h>

#include <algorithm>

#include "daemon/columns.hpp"
#include "daemon/compose.hpp"
#include "forward.skel.h"
#include "reenter.skel.h"
#include "resume.skel.h"
#include "root.skel.h"

namespace evnf
{

namespace
{

// The instances that some chain has a place for, and the classifiers of their blocks.
std::vector<Instance> instances_used(const json &document, const std::vector<Chain> &chains)
{
    std::vector<Instance> out;
    for (const auto &i : instances_of(document))
        if (std::any_of(chains.begin(), chains.end(),
                        [&](const Chain &c) { return c.uses(i.name); }))
            out.push_back(i);
    for (const auto &c : chains)
        out.insert(out.end(), c.splits.begin(), c.splits.end());
    return out;
}

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

Plan plan_of(const json &document, const std::vector<Link> &links, const Slots &before)
{
    Plan p;
    p.document = document;
    p.chains = chains_of(document);
    p.instances = instances_used(document, p.chains);
    p.number = 1;
    p.slots = allot_slots(p.chains, before, p.fresh_slots);
    for (const auto &link : links)
        p.links.emplace(link.name, link);
    return p;
}

bool Plan::holds() const
{
    return std::any_of(instances.begin(), instances.end(),
                       [](const Instance &i) { return i.exit == EXIT_XSK; });
}

bool Plan::has_workers() const
{
    return std::any_of(instances.begin(), instances.end(),
                       [](const Instance &i) { return i.exit == EXIT_XSK || i.copies(); });
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
    if (plan_.resumes()) {
        auto resume = bpf::Skeleton<resume_bpf>::load(maps_);
        if (!resume)
            return resume.error();
        resume_ = std::make_unique<bpf::Skeleton<resume_bpf>>(*std::move(resume));
    }

    auto columns = match_columns(plan_.chains, plan_.instances);
    for (const auto &instance : plan_.instances) {
        auto loaded = LoadedInstance::load(instance, running_section(plan_, instance), pins_, maps_,
                                           resume_ != nullptr, columns[instance.name]);
        if (!loaded)
            return std::move(loaded).context(instance.name).error();
        instances_.emplace(instance.name, *std::move(loaded));
    }
    unsigned port = 0;
    for (const auto &chain : plan_.chains) {
        if (auto r = load_roots(chain, port); !r)
            return r;
        if (auto r = load_taps(chain); !r)
            return r;
        for (const auto fill :
             {&Generation::fill_slots, &Generation::fill_next, &Generation::fill_guards})
            if (auto r = (this->*fill)(chain); !r)
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
                    instances_.at(place.instance)->fast_path();
    const auto find = [this](unsigned slot) {
        const auto it = by_slot_.find(slot);
        return it == by_slot_.end() ? nullptr : it->second;
    };
    auto workers = Workers::start(maps_, find, plan_.holds());
    if (!workers)
        return workers.error();
    workers_ = *std::move(workers);
    return Unit{};
}

Result<> Generation::commit()
{
    for (auto &[name, instance] : instances_)
        if (auto r = instance->commit(); !r)
            return std::move(r).context(name);
    return Unit{};
}

unsigned Generation::slot_of(const Chain &chain, std::size_t place) const
{
    return plan_.slots.at(slot_place(chain, chain.places[plan_.met(chain, place)]));
}

std::vector<StageBehind> Generation::stages_behind(const Chain &chain, std::size_t place) const
{
    std::vector<StageBehind> out;
    for (const std::size_t i : chain.reached(place))
        if (const Place &p = chain.places[i]; p.kind == Place::Kind::stage)
            out.emplace_back(&plan_.instance(p.instance).type->descriptor,
                             &instances_.at(p.instance)->maps());
    return out;
}

Result<> Generation::load_roots(const Chain &chain, unsigned &port)
{
    const bool wire = chain.has(Place::Kind::wire);
    for (const auto &entry : chain.entries) {
        const auto link = plan_.links.find(entry.interface);
        const unsigned number = std::min<unsigned>(port++, EXIT_PORTS);
        if (link == plan_.links.end())
            continue; // gone for now; attached when it comes back
        bpf::MapSet maps("", &maps_);
        if (auto r = read_ahead(maps, stages_behind(chain, entry.first)); !r)
            return r;
        auto root = bpf::Skeleton<root_bpf>::load(maps, [&](root_bpf &skel) {
            const Layer depth = depth_needed(chain, entry.first, plan_.instances);
            skel.rodata->place_slot = plan_.slots.at(root_place(chain, entry.interface));
            skel.rodata->place_next = slot_of(chain, entry.first);
            skel.rodata->root_depth = static_cast<__u32>(depth);
            skel.rodata->root_port = number;
            skel.rodata->root_check_mac = !wire;
            skel.rodata->root_generic = chain.generic;
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

Result<int> Generation::xdp_program(const Place &place, unsigned slot, unsigned next)
{
    auto &progs = (*forward_)->progs;
    switch (place.kind) {
    case Place::Kind::stage:
        return instances_.at(place.instance)->load_place(slot, next);
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
        return instances_.at(place.instance)->tc_program();
    if (place.kind == Place::Kind::route)
        return bpf_program__fd(progs.end_route);
    return bpf_program__fd(place.kind == Place::Kind::drop ? progs.end_chain_drop
                                                           : progs.end_kernel);
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
    return it == instances_.end() ? nullptr : it->second->fast_path();
}

void Generation::tick()
{
    for (const auto &[name, instance] : instances_)
        instance->fast_path()->tick();
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
