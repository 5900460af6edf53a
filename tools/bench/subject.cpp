// SPDX-License-Identifier: GPL-2.0-or-later
#include "bench/subject.hpp"

#include <linux/bpf.h>

#include <algorithm>
#include <limits>

#include "abi/match.h"
#include "abi/nexthop.h"
#include "base/net.hpp"
#include "bench/traffic.hpp"
#include "forward.skel.h"
#include "linked.skel.h"
#include "root.skel.h"
#include "vnfs/ahead.hpp"
#include "vnfs/elb/openings.hpp"

namespace evnf::bench
{

namespace
{

constexpr __u32 root_slot = 1;
constexpr __u32 loopback = 1; // every namespace's first interface

// Loads a skeleton into the maps, and keeps it in `objects`.
template <class Skel>
Result<Skel *> load_object(bpf::MapSet &maps, std::vector<std::shared_ptr<void>> &objects,
                           const std::function<void(Skel &)> &prepare = {})
{
    auto loaded = bpf::Skeleton<Skel>::load(maps, prepare);
    if (!loaded)
        return loaded.error();
    auto kept = std::make_shared<bpf::Skeleton<Skel>>(*std::move(loaded));
    objects.push_back(kept);
    return kept->operator->();
}

Result<json> checked(const Stage &stage)
{
    const VnfType *type = find_vnf(stage.vnf);
    if (!type)
        return Error{.what = "no VNF " + stage.vnf};
    return type->check(stage.section, nullptr).context("section of " + stage.vnf);
}

} // namespace

Subject::Subject(End end) : verdict_(end == End::forward ? XDP_REDIRECT : XDP_DROP)
{
    if (end != End::decided)
        end_reason_ = end == End::forward ? FWD_REDIRECT : FWD_DROP_CHAIN;
}

Result<> Subject::load_stage(const Stage &stage, bpf::MapSet *maps)
{
    auto section = checked(stage);
    if (!section)
        return section.error();
    Loaded loaded{stage, *std::move(section), nullptr, nullptr};
    if (!maps) {
        loaded.maps = std::make_unique<bpf::MapSet>("", &maps_);
        maps = loaded.maps.get();
    }
    maps->set_constant("match_column",
                       static_cast<__u32>(std::min<std::size_t>(stages_.size(), MATCH_ANSWERS)));
    auto fast_path = find_vnf(stage.vnf)->load(*maps, loaded.section, nullptr);
    if (!fast_path)
        return std::move(fast_path).context("load " + stage.vnf).error();
    loaded.fast_path = *std::move(fast_path);
    stages_.push_back(std::move(loaded));
    return Unit{};
}

// The copy of the last stage's program that knows its place, as in the daemon.
Result<int> Subject::place_program(std::uint32_t slot)
{
    const auto &loaded = stages_.back();
    bpf::MapSet maps("", loaded.maps.get());
    maps.set_constant("place_slot", slot);
    maps.set_constant("place_next", slot + 1);
    auto object = bpf::Object::load(maps, loaded.stage.vnf, stage_objects(loaded.stage.vnf).xdp);
    if (!object)
        return object.error();
    auto kept = std::make_shared<bpf::Object>(*std::move(object));
    objects_.push_back(kept);
    return kept->program(loaded.stage.vnf);
}

// Puts the programs into the slots after the root's, each the next one's predecessor by
// whatever output.
Result<> Subject::join(const std::vector<int> &programs)
{
    auto slots = bpf::Map<__u32, __u32>::bind(maps_, "slot_programs");
    auto next = bpf::Map<__u32, __u32>::bind(maps_, "slot_next");
    if (!slots)
        return slots.error();
    if (!next)
        return next.error();
    __u32 slot = root_slot;
    for (const int program : programs) {
        for (__u32 output = 0; output < CHAIN_OUTPUTS; ++output)
            if (auto r = next->put(slot * CHAIN_OUTPUTS + output, slot + 1); !r)
                return r;
        ++slot;
        if (auto r = slots->put(slot, static_cast<__u32>(program)); !r)
            return r;
    }
    return Unit{};
}

// A test run transmits nothing, so any interface will do as the way out.
Result<> Subject::know_next_hops()
{
    auto ports = bpf::Map<__u32, __u32>::bind(maps_, "transmit_ports");
    auto hops = bpf::Map<ip_addr, nexthop>::bind(maps_, "nexthops");
    if (!ports)
        return ports.error();
    if (!hops)
        return hops.error();
    if (auto r = ports->put(loopback, loopback); !r)
        return r;
    nexthop hop{};
    hop.ifindex = loopback;
    hop.mtu = 1500;
    hop.state = NEXTHOP_RESOLVED;
    hop.smac[0] = hop.dmac[0] = 0x02;
    hop.dmac[5] = 1;
    hop.expires = std::numeric_limits<__u32>::max();
    std::vector<std::string> destinations{service_address, service_address6};
    for (const auto &backends : {backend_addresses, backend_addresses6})
        destinations.insert(destinations.end(), backends.begin(), backends.end());
    for (const auto &text : destinations) {
        auto address = Address::parse(text);
        if (!address)
            return address.error();
        if (auto r = hops->put(address->raw(), hop); !r)
            return r;
    }
    return Unit{};
}

Result<std::unique_ptr<Subject>> Subject::chain(const std::vector<Stage> &stages, End end)
{
    std::unique_ptr<Subject> s(new Subject(end));
    auto forward = load_object<forward_bpf>(s->maps_, s->objects_);
    if (!forward)
        return forward.error();
    std::vector<int> programs;
    for (const Stage &stage : stages) {
        // Maps of its own: two stages of one VNF have each their rules.
        if (auto r = s->load_stage(stage, nullptr); !r)
            return r.error();
        auto program = s->place_program(root_slot + static_cast<__u32>(s->stages_.size()));
        if (!program)
            return program.error();
        programs.push_back(*program);
    }
    bpf::MapSet root_maps("", &s->maps_);
    std::vector<StageBehind> behind;
    for (const Loaded &stage : s->stages_)
        behind.emplace_back(&find_vnf(stage.stage.vnf)->descriptor, stage.maps.get());
    if (auto r = read_ahead(root_maps, behind); !r)
        return r.error();
    auto root = load_object<root_bpf>(root_maps, s->objects_, [](root_bpf &r) {
        r.rodata->place_slot = root_slot;
        r.rodata->place_next = root_slot + 1;
    });
    if (!root)
        return root.error();
    s->entry_ = bpf_program__fd((*root)->progs.root);
    const auto &ends = (*forward)->progs;
    programs.push_back(bpf_program__fd(end == End::forward ? ends.forward_route : ends.end_drop));
    if (auto r = s->join(programs); !r)
        return r.error();
    if (auto r = s->know_next_hops(); !r)
        return r.error();
    return s;
}

Result<std::unique_ptr<Subject>> Subject::linked(const Stage &efw, const Stage &elb)
{
    std::unique_ptr<Subject> s(new Subject(End::forward));
    // Their programs are not run: they bring the maps, with the rules in them.
    for (const Stage &stage : {efw, elb})
        if (auto r = s->load_stage(stage, &s->maps_); !r)
            return r.error();
    auto one = load_object<linked_bpf>(s->maps_, s->objects_, [](linked_bpf &l) {
        l.rodata->linked_slot = root_slot;
        bpf_program *program = nullptr;
        bpf_object__for_each_program(program, l.obj)
            bpf_program__set_autoload(program, program == l.progs.linked);
    });
    if (!one)
        return one.error();
    s->entry_ = bpf_program__fd((*one)->progs.linked);
    if (auto r = s->know_next_hops(); !r)
        return r.error();
    return s;
}

Result<> Subject::check_all_went(std::uint64_t packets) const
{
    std::vector<std::uint32_t> way{NEXT};
    for (const auto &loaded : stages_)
        way.push_back(loaded.stage.reason);
    if (end_reason_)
        way.push_back(*end_reason_);
    auto counters = bpf::PerCpuCounters<counter>::bind(maps_, "slot_counters");
    if (!counters)
        return counters.error();
    for (__u32 i = 0; i < way.size(); ++i) {
        const __u32 slot = root_slot + i;
        const auto went = counters->sum(slot * CHAIN_MAX_REASONS + way[i]).packets;
        if (went != packets)
            return Error{.what = "slot " + std::to_string(slot) + " let " + std::to_string(went) +
                                 " of " + std::to_string(packets) + " packets go the way that " +
                                 "is measured"};
    }
    return Unit{};
}

Result<> Subject::answer_all()
{
    for (const auto &loaded : stages_) {
        if (loaded.stage.vnf != "elb")
            continue;
        auto openings = elb::OpeningSets::bind(loaded.maps ? *loaded.maps : maps_, "elb_openings");
        auto sets = openings ? bpf::entries_of(openings->fd()) : openings.error();
        if (!sets)
            return sets.error();
        for (__u32 i = 0; i < *sets; ++i) {
            auto set = openings->get(i);
            if (!set)
                return sys_error("read the opening connections");
            for (auto &entry : set->entries)
                entry.opening.answered = 1;
            if (auto r = openings->put(i, *set); !r)
                return r;
        }
    }
    return Unit{};
}

std::optional<std::uint64_t> Subject::connections() const
{
    std::optional<std::uint64_t> placed;
    for (const auto &loaded : stages_) {
        if (loaded.stage.vnf != "elb" || loaded.stage.reason != ELB_NEXT_BACKEND)
            continue;
        const json shown = loaded.fast_path->show(loaded.section);
        placed = placed.value_or(0);
        for (const auto &backend : shown["service"][0]["backends"])
            *placed += backend["established"].get<std::uint64_t>();
    }
    return placed;
}

Result<int> Subject::map(const std::string &name) const
{
    for (const auto &loaded : stages_)
        if (auto fd = (loaded.maps ? *loaded.maps : maps_).fd(name))
            return fd;
    return Error{.what = "no stage has a map " + name};
}

std::vector<counter> Subject::counters() const
{
    std::vector<counter> all;
    const auto counters = bpf::PerCpuCounters<counter>::bind(maps_, "slot_counters");
    for (__u32 i = 0; counters && i < CHAIN_MAX_SLOTS * CHAIN_MAX_REASONS; ++i)
        all.push_back(counters->sum(i));
    return all;
}

} // namespace evnf::bench
