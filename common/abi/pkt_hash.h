/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The hash of a packet's flow. For BPF, which has it by pkt_hash() of bpf/lib/lines.h, and C++. */
#pragma once
#include "abi/pkt.h"

#define ABI_INLINE static inline __attribute__((always_inline))

/* The id of its tag `i`, outermost first; 0: no tag, or one without an id. */
ABI_INLINE __u16 pkt_vlan_of(const struct pkt *p, int i)
{
    return p->vlans > i ? p->vlan_tci[i] & 0xfff : 0;
}

ABI_INLINE __u64 pkt_addr_hash(const struct ip_addr *a, __u8 family)
{
    __u64 h = a->w[3];

    if (family == 6) {
        h ^= (__u64)a->w[0] << 32 | a->w[1];
        h *= 0xbf58476d1ce4e5b9; /* odd, as those below: of SplitMix64 (Steele et al., 2014) */
        h ^= h >> 32 ^ (__u64)a->w[2] << 32;
    }
    h *= 0x94d049bb133111eb;
    return (h ^ h >> 32) * 0xbf58476d1ce4e5b9;
}

/* The same for both directions. The ports are not mixed, but spread: connections that a client
 * opens one after the other come to lie apart, in the highest bits (Knuth's 6.4). It is no
 * secret: who makes flows fall together costs time. */
ABI_INLINE __u64 pkt_hash_of(const struct pkt *p)
{
    const struct flow_key *f = &p->flow;
    __u64 rest = (__u64)f->proto << 32 | (__u32)(f->sport + f->dport);

    if (p->vlans)
        rest |= (__u64)pkt_vlan_of(p, 0) << 40 | (__u64)pkt_vlan_of(p, 1) << 52;
    return pkt_addr_hash(&f->saddr, f->family) + pkt_addr_hash(&f->daddr, f->family) +
           rest * 0x9e3779b97f4a7c15;
}
