/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which flow a packet is of. The fast path and the workers must agree. */
#pragma once
#include "vnfs/edpi/abi.h"

#define EDPI_INLINE static inline __attribute__((always_inline))

/* Negative, zero or positive, by any order that is the same for all. */
EDPI_INLINE int edpi_compare(const struct flow_key *f)
{
    for (int i = 0; i < 4; i++)
        if (f->saddr.w[i] != f->daddr.w[i])
            return f->saddr.w[i] < f->daddr.w[i] ? -1 : 1;
    return (int)f->sport - (int)f->dport;
}

EDPI_INLINE __u8 edpi_kind_of(const struct pkt *p)
{
    if (p->l4 == PKT_L4_PORTS)
        return EDPI_PORTS;
    if (p->l4 == PKT_L4_FRAGMENT)
        return EDPI_FRAGMENT;
    return p->l4 == PKT_L4_ICMP || p->l4 == PKT_L4_OTHER ? EDPI_NO_PORTS : EDPI_UNREAD;
}

/* The end that packets in this direction come from. */
EDPI_INLINE __u32 edpi_end_of(const struct flow_key *f)
{
    return edpi_compare(f) > 0;
}

/* The id of its tag `i`, outermost first; 0: no tag, or one without an id. */
EDPI_INLINE __u16 edpi_vlan_of(const struct pkt *p, int i)
{
    return p->vlans > i ? p->vlan_tci[i] & 0xfff : 0;
}

/* Fills the key, which must be zeroes; gives the end that the packet comes from. */
EDPI_INLINE __u32 edpi_key_of(const struct pkt *p, struct edpi_key *k)
{
    const struct flow_key *f = &p->flow;
    __u32 from = edpi_end_of(f);

    k->addr[0] = from ? f->daddr : f->saddr;
    k->addr[1] = from ? f->saddr : f->daddr;
    k->port[0] = from ? f->dport : f->sport;
    k->port[1] = from ? f->sport : f->dport;
    k->proto = f->proto;
    k->family = f->family;
    k->kind = edpi_kind_of(p);
    k->vlan[0] = edpi_vlan_of(p, 0);
    k->vlan[1] = edpi_vlan_of(p, 1);
    return from;
}

EDPI_INLINE __u64 edpi_end_hash(const struct ip_addr *a, __be16 port, __u8 family)
{
    __u64 h = (__u64)a->w[3] << 16 ^ port;

    if (family == 6) {
        h ^= (__u64)a->w[0] << 32 | a->w[1];
        h *= 0xbf58476d1ce4e5b9; /* odd, as those below: of SplitMix64 (Steele et al., 2014) */
        h ^= h >> 32 ^ (__u64)a->w[2] << 32;
    }
    h *= 0x9e3779b97f4a7c15;
    return h ^ h >> 32;
}

/* The same for both directions. It is no secret: who makes flows fall together costs time. */
EDPI_INLINE __u64 edpi_hash_of(const struct pkt *p)
{
    const struct flow_key *f = &p->flow;
    __u64 h = edpi_end_hash(&f->saddr, f->sport, f->family) +
              edpi_end_hash(&f->daddr, f->dport, f->family);

    h ^= f->proto;
    if (p->vlans)
        h ^= (__u64)edpi_vlan_of(p, 0) << 8 | (__u64)edpi_vlan_of(p, 1) << 20;
    h *= 0x94d049bb133111eb;
    return h ^ h >> 32;
}
