// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/edpi/offline.hpp"

#include <net/ethernet.h>

#include <algorithm>

#include "edpi.skel.h"
#include "forward.skel.h"
#include "root.skel.h"
#include "vnfs/edpi/section.hpp"
#include "vnfs/ring_record.hpp"

namespace evnf::edpi
{

namespace
{

enum Slot : __u32 { root_slot = 1, stage_slot, end_slot };

struct RingFree {
    void operator()(ring_buffer *r) const { ring_buffer__free(r); }
};

} // namespace

struct Offline::Loaded {
    bpf::MapSet maps{""};
    std::optional<bpf::Skeleton<forward_bpf>> forward;
    std::optional<bpf::Skeleton<edpi_bpf>> stage;
    std::optional<bpf::Skeleton<root_bpf>> root;
    Fd ring_map;
    std::unique_ptr<ring_buffer, RingFree> ring;
    std::optional<bpf::PerCpuCounters<counter>> counters;
    std::unique_ptr<Flows> flows;
    std::vector<json> records;
    std::uint64_t ms = 0; // of the packet that is being run

    Result<> load(const json &section);
    Result<> connect(const json &section);
    [[nodiscard]] std::uint64_t reached() const; // packets that have left the stage

    static int on_copy(void *self, void *data, std::size_t size)
    {
        auto &l = *static_cast<Loaded *>(self);
        if (const auto packet = packet_of_record({static_cast<const std::byte *>(data), size}))
            l.flows->inspect(*packet, l.ms);
        return 0;
    }
};

Result<> Offline::Loaded::load(const json &section)
{
    auto f = bpf::Skeleton<forward_bpf>::load(maps);
    if (!f)
        return f.error();
    forward.emplace(*std::move(f));
    Table::set_size(maps, section["flows"].get<std::uint32_t>());
    auto s = bpf::Skeleton<edpi_bpf>::load(maps);
    if (!s)
        return s.error();
    stage.emplace(*std::move(s));
    auto r = bpf::Skeleton<root_bpf>::load(maps, [](root_bpf &skel) {
        skel.rodata->place_slot = root_slot;
        skel.rodata->place_next = stage_slot;
        skel.rodata->root_depth = PARSE_TRANSPORT;
    });
    if (!r)
        return r.error();
    root.emplace(*std::move(r));
    return connect(section);
}

Result<> Offline::Loaded::connect(const json &section)
{
    auto programs = bpf::Map<__u32, __u32>::bind(maps, "slot_programs");
    auto next = bpf::Map<__u32, __u32>::bind(maps, "slot_next");
    auto settings = bpf::Map<__u32, edpi_settings>::bind(maps, "edpi_setting");
    auto rings = maps.fd("copy_rings");
    auto counts = bpf::PerCpuCounters<counter>::bind(maps, "slot_counters");
    if (!programs || !next || !settings || !rings || !counts)
        return bad_input("the programs and edpi were not built together");
    counters.emplace(*counts);
    const auto fd = [](const bpf_program *p) { return static_cast<__u32>(bpf_program__fd(p)); };
    if (auto r = programs->put(stage_slot, fd((*stage)->progs.edpi)); !r)
        return r;
    if (auto r = programs->put(end_slot, fd((*forward)->progs.end_drop)); !r)
        return r;
    for (__u32 output = 0; output < CHAIN_OUTPUTS; ++output)
        if (auto r = next->put(stage_slot * CHAIN_OUTPUTS + output, end_slot); !r)
            return r;
    if (auto r = settings->put(0, settings_of(section)); !r)
        return r;
    ring_map =
        Fd(bpf_map_create(BPF_MAP_TYPE_RINGBUF, "copy_ring", 0, 0, COPY_RING_BYTES, nullptr));
    if (!ring_map)
        return sys_error("make a ring");
    ring.reset(ring_buffer__new(ring_map.get(), on_copy, this, nullptr));
    if (!ring)
        return sys_error("read a ring");
    return bpf::put_inner(*rings, 0, ring_map.get());
}

std::uint64_t Offline::Loaded::reached() const
{
    std::uint64_t packets = 0;
    for (const __u32 reason : {static_cast<__u32>(NEXT), static_cast<__u32>(EDPI_DROP_CAPTURED)})
        packets += counters->sum(stage_slot * CHAIN_MAX_REASONS + reason).packets;
    return packets;
}

Offline::Offline(std::unique_ptr<Loaded> loaded) : loaded_(std::move(loaded)) {}
Offline::~Offline() = default;

Result<std::unique_ptr<Offline>> Offline::start(const json &section)
{
    auto loaded = std::make_unique<Loaded>();
    if (auto r = loaded->load(section); !r)
        return r.error();
    auto table = Table::bind(loaded->maps);
    if (!table)
        return table.error();
    auto inspector = Inspector::make(section["protocols"], limits_of(section),
                                     section["inspected"].get<std::size_t>());
    if (!inspector)
        return inspector.error();
    Flows::Inspectors one; // flows learn from each other: more would give other results
    one.push_back(*std::move(inspector));
    loaded->flows = std::make_unique<Flows>(*std::move(table), std::move(one),
                                            [l = loaded.get()](const json &record) {
                                                l->records.push_back(record);
                                                return true;
                                            });
    return std::unique_ptr<Offline>(new Offline(std::move(loaded)));
}

Result<bool> Offline::run(std::span<const std::uint8_t> frame, std::uint64_t ms)
{
    if (frame.size() < ETH_HLEN || frame.size() > COPY_MAX_BYTES)
        return false;
    const auto before = loaded_->reached();
    if (auto r = send(frame); !r)
        return r.error();
    inspect(ms);
    return loaded_->reached() > before;
}

Result<> Offline::send(std::span<const std::uint8_t> frame)
{
    LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = frame.data(),
                .data_size_in = static_cast<__u32>(frame.size()));
    if (const int err = bpf_prog_test_run_opts(bpf_program__fd((*loaded_->root)->progs.root), &o))
        return sys_error("run a packet", err);
    return Unit{};
}

void Offline::inspect(std::uint64_t ms)
{
    loaded_->ms = ms;
    ring_buffer__consume(loaded_->ring.get());
}

std::vector<json> Offline::finish()
{
    loaded_->flows->end_all("end");
    return std::exchange(loaded_->records, {});
}

const Flows &Offline::flows() const
{
    return *loaded_->flows;
}

} // namespace evnf::edpi
