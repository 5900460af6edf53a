// SPDX-License-Identifier: GPL-2.0-or-later
// Somebody else's XDP program, from its object file, to be measured beside ours.
#pragma once

#include <linux/bpf.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "bench/program.hpp"

namespace evnf::bench
{

struct PeerOptions {
    std::string object;        // a file; empty: there is no peer
    std::string program;       // of it
    unsigned verdict = XDP_TX; // of the packets that are measured
    // What its maps must hold: NAME:KEY=VALUE in hexadecimal, or, for a map in an array of maps,
    // NAME:KEY=new, which makes one as the object describes it. KEY+N: so many, of keys
    // one after the other as little-endian numbers.
    std::vector<std::string> entries;
};

// What names one on the command line.
void add_peer_options(CLI::App &app, PeerOptions &options);

Result<std::unique_ptr<Program>> load_peer(const PeerOptions &options);

} // namespace evnf::bench
