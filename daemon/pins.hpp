// SPDX-License-Identifier: GPL-2.0-or-later
// Where the fast path is pinned, so that it outlives the daemon:
//
//   PIN_DIR/NAME/abi1/maps/    state: connections, counters (shared by generations)
//                    /links/   what attaches a root to its interface
//                    /gen/N/   the prog array of the generation in force
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"

namespace evnf
{

class Pins
{
public:
    Pins(std::string root, std::string name);

    // Makes the folders. Refuses a folder that is not on a BPF file system, and what
    // a daemon of another ABI left.
    Result<> create() const;

    [[nodiscard]] std::string maps() const { return base_ + "/maps"; }
    [[nodiscard]] std::string link(const std::string &interface) const;
    [[nodiscard]] std::string generation(unsigned n) const;

    // Interfaces that a pinned link names.
    [[nodiscard]] std::vector<std::string> linked_interfaces() const;
    [[nodiscard]] std::vector<unsigned> generations() const;
    // Takes one generation's pins away; what still runs keeps running.
    void remove_generation(unsigned n) const;

    // Detaches and removes everything under this name. Gives the interfaces freed.
    Result<std::vector<std::string>> remove_all() const;

    // Which daemon's link, of any name under `root`, has attached this program.
    static std::string owner_of(const std::string &root, unsigned program_id);

private:
    std::string home_; // PIN_DIR/NAME
    std::string base_; // PIN_DIR/NAME/abiN
};

} // namespace evnf
