// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "abi/chain.h"
#include "base/bpf.hpp"
#include "base/rtnl.hpp"
#include "daemon/document.hpp"
#include "daemon/pins.hpp"
#include "daemon/slots.hpp"
#include "vnfs/vnf.hpp"

struct root_bpf;
struct forward_bpf;

namespace evnf
{

// What a generation is made from.
struct Plan {
    json document; // checked
    json running;  // the one in force until now, or null
    std::vector<Chain> chains;
    Slots slots;
    std::vector<unsigned> fresh_slots; // their counters start at zero
    std::map<std::string, Link> links; // the interfaces that are there, by name
};

// One whole form of the chains, loaded beside the one in force: its programs, its prog
// array, its rules. It shares with other generations only the state maps. Packets meet
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
    [[nodiscard]] int root_program(const std::string &interface) const;
    // Null if no chain uses the VNF.
    [[nodiscard]] FastPath *fast_path(const std::string &vnf) const;

    // Keeps the prog array alive, and so the chains whole, when the daemon is gone.
    Result<> pin(const Pins &pins, unsigned number) const;

    [[nodiscard]] counter slot_counter(unsigned slot, unsigned reason) const;

private:
    Generation(Plan plan, const Pins &pins);
    Result<> load();
    Result<> load_roots(const Chain &chain);
    Result<> fill_slots(const Chain &chain);
    Result<> fill_ports();
    Result<> clear_fresh();

    Plan plan_;
    bpf::MapSet maps_;
    std::unique_ptr<bpf::Skeleton<forward_bpf>> forward_;
    std::map<std::string, std::unique_ptr<FastPath>> fast_paths_;
    std::map<std::string, bpf::Skeleton<root_bpf>> roots_; // by interface
    std::unique_ptr<bpf::PerCpuCounters<counter>> counters_;
};

} // namespace evnf
