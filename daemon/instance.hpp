// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/bpf.hpp"
#include "daemon/graph.hpp"
#include "daemon/pins.hpp"
#include "vnfs/vnf.hpp"

namespace evnf
{

// One instance of a VNF, loaded for one generation: its state carried over, its rules in
// place, and its programs. `instance`, `pins` and `shared` must outlive it.
class LoadedInstance
{
public:
    // `running` is its section in force until now, or null; `shared` are the maps of the
    // whole generation. With `resumes` it has a program at tc too. `match_column`: see
    // columns.hpp.
    static Result<std::unique_ptr<LoadedInstance>> load(const Instance &instance,
                                                        const json &running, const Pins &pins,
                                                        bpf::MapSet &shared, bool resumes,
                                                        unsigned match_column);
    // Without commit(), the state is left as it was.
    ~LoadedInstance();
    LoadedInstance(const LoadedInstance &) = delete;
    LoadedInstance &operator=(const LoadedInstance &) = delete;

    // Takes the state over for good that had to be converted, or has outgrown its tables.
    Result<> commit();

    [[nodiscard]] FastPath *fast_path() const { return fast_path_.get(); }
    [[nodiscard]] const bpf::MapSet &maps() const { return maps_; }
    // Loads a place's copy of the program; gives its descriptor. `next` is the slot that
    // follows, or 0 if there are several.
    Result<int> load_place(unsigned slot, unsigned next);
    // Only where packets come back from a slow path.
    [[nodiscard]] Result<int> tc_program() const;

private:
    LoadedInstance(const Instance &instance, const Pins &pins, bpf::MapSet maps);
    Result<> read_objects();
    Result<> load_tc();
    Result<> migrate_state(const std::vector<unsigned> &versions);
    Result<> convert();

    const Instance &instance_;
    const Pins &pins_;
    bool committed_ = false;
    unsigned migrated_from_ = 0; // the version of the state, if it was another
    bpf::MapSet maps_;
    std::unique_ptr<FastPath> fast_path_;
    std::vector<std::byte> xdp_object_, tc_object_; // of a folder; else those built in
    std::map<unsigned, bpf::Object> places_;        // by slot
    std::optional<bpf::Object> tc_;
};

} // namespace evnf
