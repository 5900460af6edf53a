// SPDX-License-Identifier: GPL-2.0-or-later
// The chains of one document in two forms, run by BPF_PROG_TEST_RUN: as the daemon builds them, and
// in the plainest way, where nothing that is there to make them cheaper is done.
#pragma once

#include <bpf/bpf.h>
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "abi/match.h"
#include "abi/pkt.h"
#include "daemon/generation.hpp"
#include "forward.skel.h"
#include "root.skel.h"
#include "support/chain.hpp"

namespace evnf::test
{

// What the daemon would make of a document in this network namespace.
inline Plan plan_of(const json &document)
{
    auto rtnl = must(Rtnl::open());
    return evnf::plan_of(must(check_document(document, nullptr)), must(rtnl.links()));
}

// Pins of one form, gone with it.
class PinFolder
{
public:
    PinFolder() : root_(make()), pins_(root_, "form") { must(pins_.create()); }
    ~PinFolder()
    {
        std::error_code ec;
        std::filesystem::remove_all(root_, ec);
    }
    PinFolder(const PinFolder &) = delete;
    PinFolder &operator=(const PinFolder &) = delete;

    [[nodiscard]] const Pins &operator*() const { return pins_; }
    // Where a map is pinned, whichever folder below that is.
    [[nodiscard]] std::string path_of(const std::string &map) const
    {
        for (const auto &entry : std::filesystem::recursive_directory_iterator(root_))
            if (entry.path().filename() == map)
                return entry.path();
        FAIL("no map is pinned as " << map);
        return "";
    }

private:
    static std::string make()
    {
        std::string path = "/sys/fs/bpf/evnf-test-XXXXXX";
        REQUIRE(::mkdtemp(path.data()));
        return path;
    }
    std::string root_;
    Pins pins_;
};

class Form
{
public:
    explicit Form(Plan plan) : plan_(std::move(plan))
    {
        // Per-CPU maps are read back from the CPU that the programs ran on.
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(0, &one);
        REQUIRE(::sched_setaffinity(0, sizeof one, &one) == 0);
    }
    virtual ~Form() = default;
    Form(const Form &) = delete;
    Form &operator=(const Form &) = delete;

    [[nodiscard]] const Plan &plan() const { return plan_; }
    [[nodiscard]] virtual const bpf::MapSet &maps() const = 0;
    [[nodiscard]] virtual int root(const std::string &interface) const = 0;
    [[nodiscard]] virtual FastPath &fast_path(const std::string &instance) const = 0;

    Ran run(const Bytes &in, const std::string &interface)
    {
        Ran r{0, Bytes(in.size() + 64), {}};
        xdp_md ctx{};
        ctx.data_end = static_cast<__u32>(in.size());
        ctx.ingress_ifindex = plan_.links.at(interface).ifindex;
        LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = in.data(), .data_out = r.out.data(),
                    .data_size_in = static_cast<__u32>(in.size()),
                    .data_size_out = static_cast<__u32>(r.out.size()), .ctx_in = &ctx,
                    .ctx_size_in = sizeof ctx);
        if (const int err = bpf_prog_test_run_opts(root(interface), &o))
            FAIL("test run of " << in.size() << " bytes: " << std::strerror(-err));
        r.verdict = o.retval;
        r.out.resize(o.data_size_out); // with the metadata, if there is any
        return r;
    }

    // What the last packet was to the last program.
    [[nodiscard]] pkt seen() const
    {
        std::vector<std::array<std::uint8_t, (sizeof(pkt) + 7) / 8 * 8>> each(
            must(bpf::possible_cpus()));
        const __u32 zero = 0;
        REQUIRE(bpf_map_lookup_elem(must(maps().fd("pkt_scratch")), &zero, each.data()) == 0);
        pkt p{};
        std::memcpy(&p, each[0].data(), sizeof p); // of CPU 0, where this thread is
        return p;
    }

    // Of each place that a packet has left, "in/efw", by reason.
    [[nodiscard]] std::map<std::pair<std::string, unsigned>, counter> counters() const
    {
        const auto all = must(bpf::PerCpuCounters<counter>::bind(maps(), "slot_counters"));
        std::map<std::pair<std::string, unsigned>, counter> out;
        for (const auto &[place, slot] : plan_.slots)
            for (unsigned reason = 0; reason < CHAIN_MAX_REASONS; ++reason)
                if (const auto c = all.sum(slot * CHAIN_MAX_REASONS + reason); c.packets || c.bytes)
                    out[{place, reason}] = c;
        return out;
    }

    // The bytes of every entry of a map that some instance keeps as its state.
    [[nodiscard]] std::map<Bytes, Bytes> state(const std::string &map) const
    {
        const Fd fd = state_map(map);
        REQUIRE(fd);
        bpf_map_info info{};
        __u32 size = sizeof info;
        REQUIRE(bpf_obj_get_info_by_fd(fd.get(), &info, &size) == 0);
        std::map<Bytes, Bytes> out;
        Bytes key(info.key_size), value(info.value_size);
        for (bool more = bpf_map_get_next_key(fd.get(), nullptr, key.data()) == 0; more;
             more = bpf_map_get_next_key(fd.get(), key.data(), key.data()) == 0) {
            REQUIRE(bpf_map_lookup_elem(fd.get(), key.data(), value.data()) == 0);
            out[key] = value;
        }
        return out;
    }

protected:
    [[nodiscard]] virtual Fd state_map(const std::string &name) const = 0;

    Plan plan_;
};

// As the daemon builds it.
class BuiltForm : public Form
{
public:
    explicit BuiltForm(const Plan &plan)
        : Form(plan),
          generation_(must(Generation::build(plan, *pins_)))
    {
    }

    [[nodiscard]] const bpf::MapSet &maps() const override { return generation_->maps(); }
    [[nodiscard]] int root(const std::string &interface) const override
    {
        return generation_->root_program(interface);
    }
    [[nodiscard]] FastPath &fast_path(const std::string &instance) const override
    {
        return *generation_->fast_path(instance);
    }
    [[nodiscard]] const Generation &generation() const { return *generation_; }

protected:
    [[nodiscard]] Fd state_map(const std::string &name) const override
    {
        return Fd(bpf_obj_get(pins_.path_of(name).c_str()));
    }

private:
    PinFolder pins_;
    std::unique_ptr<Generation> generation_;
};

// One program for all places of an instance, which looks up where it is and what follows; every
// stage in its slot; everything parsed; rules searched for each packet.
class PlainForm : public Form
{
public:
    explicit PlainForm(const Plan &plan) : Form(plan)
    {
        set_constants(maps_);
        forward_.emplace(must(bpf::Skeleton<forward_bpf>::load(maps_)));
        for (const auto &i : plan.instances) {
            auto &loaded = instances_[i.name];
            loaded.maps = std::make_unique<bpf::MapSet>("", &maps_);
            set_constants(*loaded.maps);
            loaded.fast_path = must(i.type->load(*loaded.maps, i.section, nullptr));
        }
        for (const auto &chain : plan.chains) {
            fill(chain);
            for (const auto &entry : chain.entries)
                add_root(chain, entry);
            auto ports = must(bpf::Map<__u32, __u32>::bind(maps_, "transmit_ports"));
            for (const auto &name : chain.interfaces())
                must(ports.put(plan.links.at(name).ifindex, plan.links.at(name).ifindex));
        }
    }

    [[nodiscard]] const bpf::MapSet &maps() const override { return maps_; }
    [[nodiscard]] int root(const std::string &interface) const override
    {
        return bpf_program__fd(roots_.at(interface)->progs.root);
    }
    [[nodiscard]] FastPath &fast_path(const std::string &instance) const override
    {
        return *instances_.at(instance).fast_path;
    }

protected:
    [[nodiscard]] Fd state_map(const std::string &name) const override
    {
        for (const auto &[instance, loaded] : instances_)
            if (const auto fd = loaded.maps->fd(name))
                return Fd(::fcntl(*fd, F_DUPFD_CLOEXEC, 0));
        return Fd();
    }

private:
    struct Loaded {
        std::unique_ptr<bpf::MapSet> maps;
        std::unique_ptr<FastPath> fast_path;
    };

    void set_constants(bpf::MapSet &maps) const
    {
        maps.set_constant("chain_resumes", plan_.resumes());
        maps.set_constant("chain_place_tag", plan_.place_tag());
        maps.set_constant("match_column", MATCH_ANSWERS);
    }

    [[nodiscard]] int program(const Place &place) const
    {
        const auto &progs = (*forward_)->progs;
        switch (place.kind) {
        case Place::Kind::stage:
            return fast_path(place.instance).program();
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

    void fill(const Chain &chain)
    {
        auto programs = must(bpf::Map<__u32, __u32>::bind(maps_, "slot_programs"));
        auto next = must(bpf::Map<__u32, __u32>::bind(maps_, "slot_next"));
        auto peers = must(bpf::Map<__u32, __u32>::bind(maps_, "wire_peers"));
        for (const auto &place : chain.places) {
            const unsigned slot = slot_of(chain, place);
            must(programs.put(slot, static_cast<__u32>(program(place))));
            if (place.kind == Place::Kind::wire)
                must(peers.put(slot, plan_.links.at(place.interface).ifindex));
            for (unsigned i = 0; place.kind == Place::Kind::stage && i < CHAIN_OUTPUTS; ++i)
                must(next.put(slot * CHAIN_OUTPUTS + i,
                              slot_of(chain, chain.places[place.next[i]])));
        }
    }

    void add_root(const Chain &chain, const Entry &entry)
    {
        auto next = must(bpf::Map<__u32, __u32>::bind(maps_, "slot_next"));
        const unsigned slot = plan_.slots.at(root_place(chain, entry.interface));
        const bool wire = chain.has(Place::Kind::wire);
        must(next.put(slot * CHAIN_OUTPUTS, slot_of(chain, chain.places[entry.first])));
        roots_.emplace(entry.interface, must(bpf::Skeleton<root_bpf>::load(maps_, [&](root_bpf &r) {
                           const Mac &mac = plan_.links.at(entry.interface).mac;
                           r.rodata->place_slot = slot;
                           r.rodata->root_check_mac = !wire;
                           std::copy(mac.begin(), mac.end(), r.rodata->root_mac);
                           for (const std::size_t i : chain.reached(entry.first))
                               if (chain.places[i].kind == Place::Kind::wire)
                                   r.rodata->root_not_ip_slot = slot_of(chain, chain.places[i]);
                       })));
    }

    [[nodiscard]] unsigned slot_of(const Chain &chain, const Place &place) const
    {
        return plan_.slots.at(slot_place(chain, place));
    }

    bpf::MapSet maps_{""};
    std::optional<bpf::Skeleton<forward_bpf>> forward_;
    std::map<std::string, Loaded> instances_;
    std::map<std::string, bpf::Skeleton<root_bpf>> roots_; // by interface
};

} // namespace evnf::test
