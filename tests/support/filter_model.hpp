// SPDX-License-Identifier: GPL-2.0-or-later
// A filter as plainly as can be, and the packets that it matches, bit after bit; filters,
// packets and ways to write a filter down at random. It shares nothing with the parser but
// the layouts.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <string>

#include "abi/pkt.h"
#include "abi/trace.h"

namespace evnf::filter::model
{

using Random = std::mt19937_64;

unsigned below(Random &random, unsigned n);

// An address or mask in IPv6's form, so that an IPv4-mapped one is spelled out.
ip_addr in6(const std::string &text);

struct Model {
    struct Net {
        ip_addr addr;
        unsigned bits; // of all 128
    };
    std::optional<Net> net[TRACE_ENDS];
    std::optional<std::uint16_t> port[TRACE_ENDS];
    int family = 0;
    std::optional<std::uint8_t> proto;
};

bool matches(const Model &m, const flow_key &k);

// Of few addresses and ports, so that filters and packets meet.
Model any_model(Random &random);
flow_key any_key(Random &random);

// One of the ways to write it down.
std::string text_of(Random &random, const Model &m);

} // namespace evnf::filter::model
