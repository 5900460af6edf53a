// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <optional>
#include <string>

#include "base/log.hpp"

namespace evnf
{

// evnfd's command line.
struct Options {
    std::string config; // a TOML file
    std::string name = "evnf";
    std::string run_dir = "/run/evnf";        // socket and lock
    std::string state_dir = "/var/lib/evnf";  // desired state
    std::string pin_dir = "/sys/fs/bpf/evnf"; // programs, links and maps
    bool check = false;                       // only check the file
    bool detach = false;                      // take the fast path off
    bool anew = false;                        // replace what has other layouts
    LogSettings log = {};

    [[nodiscard]] std::string socket_path() const { return run_dir + "/" + name + ".sock"; }
    [[nodiscard]] std::string lock_path() const { return run_dir + "/" + name + ".lock"; }
    // The operator's word for --anew at the next start, whoever starts it.
    [[nodiscard]] std::string anew_path() const { return run_dir + "/" + name + ".anew"; }
    [[nodiscard]] std::string state_path() const { return state_dir + "/" + name + ".json"; }
    [[nodiscard]] std::string journal_path() const { return state_dir + "/" + name + ".journal"; }
    // What fast paths keep besides it, a folder for each instance.
    [[nodiscard]] std::string live_path() const { return state_dir + "/" + name + ".live"; }
};

// Parses the command line. Without a value there is nothing left to do (--help, or
// wrong usage, which has been printed), and `exit_code` says how it ended.
std::optional<Options> parse_options(int argc, char **argv, int &exit_code);

} // namespace evnf
