// SPDX-License-Identifier: GPL-2.0-or-later
// What is known of a host, its interfaces and the planned chains before anything of ours runs.
// Facts alone: what follows from them is said in judge.hpp. As JSON they can be taken from one
// machine and judged on another. An optional without a value (null) is not known, which is never
// guessed at.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace evnf::preflight
{

struct Missing {
    std::string name;
    std::string reason;
    friend bool operator==(const Missing &, const Missing &) = default;
};

struct Host {
    std::string kernel; // as uname(2) has it
    unsigned cpus = 0;  // that work
    unsigned cpus_possible = 0;
    std::uint64_t page_size = 0;
    std::optional<bool> btf;                     // the kernel's own types are at hand
    std::optional<int> jit;                      // net.core.bpf_jit_enable
    std::optional<bool> bpffs;                   // at /sys/fs/bpf
    std::optional<bool> clsact;                  // the qdisc that tc programs are attached to
    std::vector<Missing> capabilities;           // that this process does not have
    std::optional<std::vector<Missing>> helpers; // that XDP programs cannot call
    std::optional<std::uint64_t> memory_available;
    std::optional<std::uint64_t> memory_left; // within the limit of this process's cgroups
    std::optional<bool> irqbalance;           // it runs
};

struct Channels {
    unsigned combined = 0, rx = 0, tx = 0;
    unsigned max_combined = 0, max_rx = 0, max_tx = 0;
};

struct Offload {
    bool on = false;
    bool fixed = false; // the driver does not let it be changed
};

struct Interrupt {
    unsigned number = 0;
    std::string name;
    std::vector<unsigned> cpus; // that take it
};

struct XdpProgram {
    unsigned id = 0;
    std::string name;
    std::string mode;        // "native", "generic" or "offloaded"
    std::string owner;       // the evnfd whose it is; empty: it is of others
    bool dispatcher = false; // libxdp's, which runs several programs
};

// The far end of a veth.
struct Peer {
    std::string name; // empty: it is in another network namespace
    unsigned mtu = 0;
    bool up = false;
    unsigned tx_queues = 0;
    std::map<std::string, Offload> offloads; // by the kernel's names, if it is here
};

struct Interface {
    std::string name;
    bool present = false; // if not, nothing else is known
    bool up = false;
    bool ethernet = false;
    unsigned mtu = 0;
    std::string driver; // as ethtool(8) has it; empty if not known
    std::string kind;   // as ip-link(8) has it: "veth", "bridge", …; empty for devices
    std::string lower;  // the interface that it is on, of a VLAN for instance
    std::string master; // the bridge or bond that it is in
    std::vector<std::string> members;                     // of a bond
    std::optional<std::vector<std::string>> xdp_features; // as the kernel has them, since 6.3
    std::optional<Channels> channels;
    std::map<std::string, Offload> offloads;              // by the kernel's names
    std::optional<std::vector<unsigned>> virtio_features; // numbers of those that were agreed on
    std::vector<Interrupt> interrupts;
    std::optional<unsigned> rps_queues; // whose packets the kernel spreads over CPUs
    std::vector<XdpProgram> programs;
    std::optional<Peer> peer;
    std::optional<bool> forwarding4, forwarding6;
    std::optional<int> rp_filter;
};

// Its programs and tables, loaded once on trial and thrown away.
struct Trial {
    std::string error;       // empty: all could be loaded
    std::uint64_t bytes = 0; // of its tables
};

struct Misplaced {
    std::string text;
    bool may_pass = false;
};

struct ChainFacts {
    std::string name;
    std::string path;
    bool generic = false;
    std::vector<std::string> receives; // interfaces that a root is attached to
    std::vector<std::string> sends;    // others that it names
    bool routes = false;               // by the kernel's table
    bool resumes = false;              // packets come back from a slow path, by tc
};

struct Facts {
    Host host;
    std::vector<Interface> interfaces;
    std::vector<ChainFacts> chains;
    std::vector<Misplaced> misfits; // sections that do not fit this host
    std::optional<Trial> trial;     // of all chains together
};

nlohmann::json to_json(const Facts &facts);
// Throws nlohmann::json::exception for what to_json() cannot have made.
Facts facts_from_json(const nlohmann::json &text);

} // namespace evnf::preflight
