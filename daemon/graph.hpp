// SPDX-License-Identifier: GPL-2.0-or-later
// A chain as what it is made of: places, each with the place that follows for each of
// its outputs.
#pragma once

#include <array>
#include <functional>
#include <string>
#include <vector>

#include "abi/chain.h"
#include "abi/place.h"
#include "vnfs/vnf.hpp"

namespace evnf
{

// One use of a VNF: its rules, its state. Its section of the configuration has its name.
struct Instance {
    std::string name;
    const VnfType *type = nullptr;
    json section; // checked; without the keys that are the toolkit's
    // Answers come back by the interface that the packets came in by.
    bool one_armed = false;
    // Where packets go that it leaves to its slow path, and what becomes of them when
    // nobody is there.
    exit_kind exit = EXIT_STACK;
    std::string tap; // the interface, for EXIT_TAP
    bool exit_down_drops = false;
    // Whether its stage sends copies of packets to workers.
    [[nodiscard]] bool copies() const
    {
        return type->descriptor.copies && (!type->copies || type->copies(section));
    }
    // A folder with VNF.bpf.o and VNF_tc.bpf.o, in place of the programs built in.
    std::string objects;
};

// One position in a chain. It has a slot, and so counters, of its own.
struct Place {
    enum class Kind { stage, route, wire, hairpin, host, drop };
    static constexpr std::size_t nowhere = ~std::size_t{0};

    Kind kind = Kind::stage;
    std::string name;      // in its chain: "efw", "efw#2", "out", "wire(eth1)"
    std::string instance;  // of a stage
    std::string interface; // of a wire
    // Of a stage: the index of the place that follows, by the number of the output (the
    // low four bits of a reason of VERDICT_NEXT).
    std::array<std::size_t, CHAIN_OUTPUTS> next{};
    // Bits: the outputs that the text leads somewhere by their names.
    unsigned named = 0;
};

struct Entry {
    std::string interface;
    std::size_t first; // index of the first place
};

struct Chain {
    std::string name;
    std::string path;     // canonical text
    bool generic = false; // XDP in the kernel's generic mode
    std::vector<Entry> entries;
    std::vector<Place> places;
    std::vector<Instance> splits; // the classifiers that its blocks are

    [[nodiscard]] bool uses(const std::string &instance) const;
    // Every interface that it takes packets from or sends them to by name.
    [[nodiscard]] std::vector<std::string> interfaces() const;
    // Whether packets of some interface go by `kind`.
    [[nodiscard]] bool has(Place::Kind kind) const;
    // The places that packets of an entry can come to, each after all that lead to it.
    [[nodiscard]] std::vector<std::size_t> reached(std::size_t first) const;
    // Each place that directly follows, once.
    [[nodiscard]] std::vector<std::size_t> followers(std::size_t place) const;
};

// The outputs of a VNF, "next" and its own, by number.
struct Output {
    unsigned number;
    std::string name;
};
std::vector<Output> outputs_of(const VnfType &type);

// The name of an end as the chain language has it: "out", "wire", …
std::string kind_text(Place::Kind kind);

// Makes the chain called `name` of its text. `type_of` says which VNF a stage's name
// means, null for none. Errors carry offset and length within the text.
using TypeOf = std::function<const VnfType *(const std::string &stage)>;
Result<Chain> build_chain(const std::string &name, const std::string &text, const TypeOf &type_of,
                          const std::string &known_stages);

// The text of a service-chain request, a graph in JSON as in µNF (IV-D):
//   {"nodes": [{"id": "a", "in": ["eth0"]}, {"id": "fw", "vnf": "efw"}, {"id": "o", "end": "out"}],
//    "links": [{"from": "a", "to": "fw"}, {"from": "fw", "to": "o", "label": "next"}]}
// A node with "classify": true sends packets by the conditions that are its links' labels.
// Errors carry `where` relative to the request.
Result<std::string> text_of_request(const json &request);

} // namespace evnf
