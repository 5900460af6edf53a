// SPDX-License-Identifier: GPL-2.0-or-later
// Where the fast path is pinned, so that it outlives the daemon:
//
//   PIN_DIR/NAME/abi4/maps/    state that generations share: counters of the slots
//                    /maps/I/vN/  state of instance I, in layout N: connections, counters
//                    /links/   what attaches a root to its interface
//                    /gen/N/   of the generation in force: its prog arrays, its guards
//                    /owner-K  whose packets they are, while the kernel has them
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace evnf
{

// What a daemon of other layouts left, of another ABI or another version of a VNF's state.
enum class Foreign {
    refuse,
    replace, // its interfaces are taken over, its state is lost
};

class Pins
{
public:
    Pins(std::string root, std::string name, Foreign foreign = Foreign::refuse);

    // Makes the folders. Refuses a folder that is not on a BPF file system, and what
    // a daemon of another ABI left unless that is to be replaced.
    Result<> create();

    [[nodiscard]] bool replaces_foreign() const { return foreign_ == Foreign::replace; }
    // Whether there is something of another ABI, which runs until replace_foreign().
    [[nodiscard]] bool has_foreign() const { return !foreign_bases_.empty(); }
    // Its links become ours, the rest is removed: prog arrays are emptied by that.
    Result<> replace_foreign();
    // What create() has made beside it is removed, as if this daemon had not been.
    void leave_foreign() const;

    [[nodiscard]] std::string maps() const { return base_ + "/maps"; }
    // Of one instance of a VNF, in the state's version; the folder is made.
    [[nodiscard]] Result<std::string> instance_maps(const std::string &instance,
                                                    unsigned version) const;
    // The versions that there are.
    [[nodiscard]] std::vector<unsigned> state_versions(const std::string &instance) const;
    void remove_state(const std::string &instance, unsigned version) const;
    // This daemon's number among those that are pinned under the same root, see
    // abi/place.h; it stays until remove_all().
    [[nodiscard]] Result<unsigned> owner() const;
    // The same, without taking one; whatever the ABI.
    [[nodiscard]] std::optional<unsigned> known_owner() const;

    // Where its link is pinned, or is to be.
    [[nodiscard]] std::string link(const std::string &interface) const;
    [[nodiscard]] std::string generation(unsigned n) const;

    // Interfaces that a pinned link names.
    [[nodiscard]] std::vector<std::string> linked_interfaces() const;
    [[nodiscard]] std::vector<unsigned> generations() const;
    // The highest number that any has had here, whatever the ABI; 0: none.
    [[nodiscard]] unsigned last_generation() const;
    // Whether packets of a generation come back from their slow path.
    [[nodiscard]] bool resumes(unsigned n) const;
    // Takes one generation's pins away; what still runs keeps running.
    void remove_generation(unsigned n) const;

    // Detaches and removes everything under this name. Gives the interfaces freed.
    Result<std::vector<std::string>> remove_all() const;

    // Which daemon's link, of any name under `root`, has attached this program.
    static std::string owner_of(const std::string &root, unsigned program_id);

private:
    std::string root_; // PIN_DIR
    std::string home_; // PIN_DIR/NAME
    std::string base_; // PIN_DIR/NAME/abiN
    Foreign foreign_;
    std::vector<std::string> foreign_bases_; // PIN_DIR/NAME/abiM that are to be replaced
};

} // namespace evnf
