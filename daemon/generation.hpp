// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "abi/chain.h"
#include "abi/place.h"
#include "base/bpf.hpp"
#include "base/rtnl.hpp"
#include "daemon/document.hpp"
#include "daemon/instance.hpp"
#include "daemon/pins.hpp"
#include "daemon/slots.hpp"
#include "daemon/workers.hpp"
#include "vnfs/ahead.hpp"
#include "vnfs/vnf.hpp"

struct forward_bpf;
struct reenter_bpf;
struct resume_bpf;
struct root_bpf;

namespace evnf
{

// What a generation is made from.
struct Plan {
    json document; // checked
    json running;  // the one in force until now, or null
    std::vector<Chain> chains;
    std::vector<Instance> instances; // that a chain uses, its blocks' classifiers too
    Slots slots;
    std::vector<unsigned> fresh_slots; // their counters start at zero
    std::map<std::string, Link> links; // all interfaces, by name
    unsigned owner = 0;                // which evnfd, see abi/place.h
    unsigned number = 0;               // of the generation
    // The generation before this one has packets resume: until its filters are gone, what
    // comes in must go on having a place.
    bool follows_resuming = false;
    bool observe = false; // packets can be watched, see bpf/lib/trace.h

    // Whether a packet may have to go on with its chain after a slow path.
    [[nodiscard]] bool resumes() const;
    [[nodiscard]] bool resumes_itself() const;
    // Whether packets go to user space: all of some, or copies.
    [[nodiscard]] bool has_workers() const;
    // Whether packets wait there for a word.
    [[nodiscard]] bool holds() const;
    [[nodiscard]] unsigned place_tag() const
    {
        return PLACE_MAGIC | owner << PLACE_OWNER_SHIFT |
               (number % PLACE_GENERATIONS) << PLACE_GENERATION_SHIFT;
    }
    [[nodiscard]] const Instance &instance(const std::string &name) const;
    // Whether a place lets every packet go on as it is: packets pass it by.
    [[nodiscard]] bool is_idle(const Place &place) const;
    // The place that packets meet which are led to `place`: it, or one after it.
    [[nodiscard]] std::size_t met(const Chain &chain, std::size_t place) const;
};

// For a checked document, as if nothing were running but for the `before` of its slots.
Plan plan_of(const json &document, const std::vector<Link> &links, const Slots &before = {});

// One whole form of the chains, loaded beside the one in force: its programs, its prog
// arrays, its rules. It shares with other generations only the state maps. Packets meet
// it when the roots are attached, all of it at once.
class Generation
{
public:
    static Result<std::unique_ptr<Generation>> build(Plan plan, const Pins &pins);
    ~Generation();
    Generation(const Generation &) = delete;
    Generation &operator=(const Generation &) = delete;

    [[nodiscard]] const Plan &plan() const { return plan_; }
    [[nodiscard]] const bpf::MapSet &maps() const { return maps_; }
    // What to attach to an interface; -1 if it is not there.
    [[nodiscard]] int root_program(const std::string &interface) const;
    // The programs at tc; -1 if no packet ever comes back from a slow path.
    [[nodiscard]] int take_program() const;
    [[nodiscard]] int resume_program(const Link &link) const;
    // What to attach to each interface that is a tap, by name.
    [[nodiscard]] std::map<std::string, int> tap_programs() const;
    // The interfaces whose packets may go to user space, by their numbers (pkt.port).
    [[nodiscard]] std::map<std::string, unsigned> xsk_ports() const;
    // Null if nothing goes to user space.
    [[nodiscard]] Workers *workers() const { return workers_.get(); }
    void tick(); // of the fast paths
    // Null if no chain uses the instance.
    [[nodiscard]] FastPath *fast_path(const std::string &instance) const;

    // Takes the state over for good that had to be converted: called when packets meet this
    // generation. Until then the state that it was made from is as it was.
    Result<> commit();

    // Keeps the prog arrays alive, and so the chains whole, when the daemon is gone.
    Result<> pin(const Pins &pins) const;

    [[nodiscard]] counter slot_counter(unsigned slot, unsigned reason) const;

private:
    Generation(Plan plan, const Pins &pins);
    Result<> load();
    Result<> load_roots(const Chain &chain, unsigned &port);
    Result<> load_taps(const Chain &chain);
    Result<> start_workers();
    [[nodiscard]] unsigned slot_of(const Chain &chain, std::size_t place) const;
    [[nodiscard]] std::vector<StageBehind> stages_behind(const Chain &chain,
                                                         std::size_t place) const;
    // For a stage, loads the place's copy of its program.
    Result<int> xdp_program(const Place &place, unsigned slot, unsigned next);
    [[nodiscard]] Result<int> tc_program(const Place &place) const;

    // In tables.cpp.
    Result<> fill_slots(const Chain &chain);
    Result<> fill_programs(const Chain &chain, std::size_t index);
    Result<> fill_exit(const Place &place, unsigned slot);
    Result<> fill_next(const Chain &chain);
    Result<> fill_guards(const Chain &chain);
    Result<> fill_ports();
    Result<> clear_fresh();

    Plan plan_;
    const Pins &pins_;
    bpf::MapSet maps_;
    std::unique_ptr<bpf::Skeleton<forward_bpf>> forward_;
    std::unique_ptr<bpf::Skeleton<resume_bpf>> resume_;
    std::map<std::string, std::unique_ptr<LoadedInstance>> instances_; // by name
    std::map<std::string, bpf::Skeleton<root_bpf>> roots_;             // by interface
    std::map<std::string, bpf::Skeleton<reenter_bpf>> taps_;           // by interface
    std::map<unsigned, FastPath *> by_slot_;
    std::unique_ptr<Workers> workers_; // after what its threads use: they end first
    std::unique_ptr<bpf::PerCpuCounters<counter>> counters_;
};

} // namespace evnf
