// SPDX-License-Identifier: GPL-2.0-or-later
// What follows from facts: for each thing how good it is, why, and what mends it. Pure functions:
// the same facts have the same findings, whichever machine they are from.
#pragma once

#include <string>
#include <vector>

#include "tools/preflight/facts.hpp"

namespace evnf::preflight
{

enum class Level { ok, note, warning, error };

using Command = std::vector<std::string>; // its words

struct Finding {
    Level level = Level::ok;
    std::string subject; // "host", an interface, "chain in"
    std::string check;   // what was looked at: "xdp", "queues", …
    std::string text;    // what is so, and why
    std::vector<Command> mend = {};
    // The commands can be run while packets pass, and be taken back.
    bool safe = false;
};

std::vector<Finding> judge(const Facts &facts);

// As one types it into a shell.
std::string text_of(const Command &command);
std::string text_of(Level level);

// The parts of it.
std::vector<Finding> judge_host(const Host &host);
// `wanted` says what is planned for the interface.
struct Wanted {
    bool receives = false; // a root is attached to it
    bool generic = false;
    bool sends = false;  // XDP sends frames out of it
    bool routes = false; // by the kernel's table
};
std::vector<Finding> judge_interface(const Interface &interface, const Wanted &wanted,
                                     const Facts &facts);
std::vector<Finding> judge_chains(const Facts &facts);

} // namespace evnf::preflight
