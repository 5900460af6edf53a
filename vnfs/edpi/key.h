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

/* Fills the key, which must be zeroes; gives the end that the packet comes from. */
EDPI_INLINE __u32 edpi_key_of(const struct pkt *p, struct edpi_key *k)
{
    const struct flow_key *f = &p->flow;
    __u32 from = edpi_compare(f) > 0;

    k->addr[0] = from ? f->daddr : f->saddr;
    k->addr[1] = from ? f->saddr : f->daddr;
    k->port[0] = from ? f->dport : f->sport;
    k->port[1] = from ? f->sport : f->dport;
    k->proto = f->proto;
    k->family = f->family;
    k->kind = edpi_kind_of(p);
    if (p->vlans > 0)
        k->vlan[0] = p->vlan_tci[0] & 0xfff;
    if (p->vlans > 1)
        k->vlan[1] = p->vlan_tci[1] & 0xfff;
    return from;
}
