/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which flow a packet is of. The fast path and the workers must agree. */
#pragma once
#include "abi/pkt_hash.h"
#include "vnfs/edpi/abi.h"

/* Negative, zero or positive, by any order that is the same for all. */
ABI_INLINE int edpi_compare(const struct flow_key *f)
{
    for (int i = 0; i < 4; i++)
        if (f->saddr.w[i] != f->daddr.w[i])
            return f->saddr.w[i] < f->daddr.w[i] ? -1 : 1;
    return (int)f->sport - (int)f->dport;
}

ABI_INLINE __u8 edpi_kind_of(const struct pkt *p)
{
    if (p->l4 == PKT_L4_PORTS)
        return EDPI_PORTS;
    if (p->l4 == PKT_L4_FRAGMENT)
        return EDPI_FRAGMENT;
    return p->l4 == PKT_L4_ICMP || p->l4 == PKT_L4_OTHER ? EDPI_NO_PORTS : EDPI_UNREAD;
}

/* The end that packets in this direction come from. */
ABI_INLINE __u32 edpi_end_of(const struct flow_key *f)
{
    return edpi_compare(f) > 0;
}

/* Fills the key, which must be zeroes; gives the end that the packet comes from. */
ABI_INLINE __u32 edpi_key_of(const struct pkt *p, struct edpi_key *k)
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
    k->vlan[0] = pkt_vlan_of(p, 0);
    k->vlan[1] = pkt_vlan_of(p, 1);
    return from;
}
