// SPDX-License-Identifier: GPL-2.0-or-later
// A plain model of the parser, from the contracts in abi/pkt.h and the RFCs: what the
// BPF program is compared with.
#pragma once

#include "abi/chain.h"
#include "abi/pkt.h"
#include "support/frame.hpp"

namespace evnf::test
{

struct Parsed {
    unsigned reason; // NEXT, or why not
    pkt p;           // as the contract has it; fields without meaning are zero
};

Parsed model_parse(const Bytes &frame);

// Where `seen` differs from the model in a field that has a meaning; empty if nowhere.
std::string difference(const Parsed &model, const pkt &seen);

} // namespace evnf::test
