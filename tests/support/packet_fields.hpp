// SPDX-License-Identifier: GPL-2.0-or-later
// The single fields of packets: values to choose, and setting one so that the packet
// stays one that there can be.
#pragma once

#include <arpa/inet.h>

#include "support/packets.hpp"

namespace evnf::efw::model
{

template <class Value>
Value between(Random &random, const match::Range<Value> &r)
{
    return static_cast<Value>(r.first + random() % (r.last - r.first + 1ULL));
}

// Random below the bits that both ends share, if that is between them.
inline Address between(Random &random, const match::Range<Address> &r)
{
    ip_addr a = r.first.raw();
    auto *bytes = reinterpret_cast<unsigned char *>(&a);
    const auto *last = reinterpret_cast<const unsigned char *>(&r.last.raw());
    unsigned i = 0;
    while (i < sizeof a && bytes[i] == last[i])
        ++i;
    for (; i < sizeof a; ++i)
        bytes[i] = static_cast<unsigned char>(random());
    const Address out(a);
    return r.first <= out && out <= r.last ? out : r.first;
}

template <class Value>
Value inside(Random &random, const match::Ranges<Value> &ranges)
{
    const auto &r = one_of(random, ranges);
    switch (below(random, 3)) {
    case 0:
        return r.first;
    case 1:
        return r.last;
    default:
        return between(random, r);
    }
}

inline unsigned length_of(const pkt &p)
{
    return p.l3_end - p.l3_off;
}
void set_length(pkt &p, unsigned length);
void set_vlan(Random &random, pkt &p, std::optional<unsigned> id);
void set_dscp(Random &random, pkt &p, unsigned dscp);
// A member of the set that the rule uses, if it has any.
void set_member(Random &random, pkt &p, const match::SetUse &use, const World &world);

__u32 any_interface(Random &random, const World &world);
// Any values, which do not fit each other yet.
pkt random_packet(Random &random, int family, const World &world);
// What a root would never say is put right: what the packet cannot have is zero.
void settle(pkt &p);

} // namespace evnf::efw::model
