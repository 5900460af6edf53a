/* SPDX-License-Identifier: GPL-2.0-or-later */
/* elb: writes a backend's or a service's address and port into a packet. */
#pragma once
#include <linux/ip.h>
#include <linux/ipv6.h>

#include "lib/csum.h"
#include "lib/stage.h"
#include "vnfs/elb/conn.h"
#include "vnfs/elb/events.h"

/* Where a packet goes, or comes from in the client's eyes. */
struct elb_target {
    struct ip_addr addr;
    __be16 port;
    __u16 backend;
    enum elb_rewrite rewrite;
};

/* Whether a client's opening connection is under way to its target. */
static __always_inline bool opening_leads_to(const struct elb_opening *o,
                                             const struct elb_target *t)
{
    return o->rewrite == ELB_TO_BACKEND && !o->flags && o->port == t->port &&
           same_addr(&o->addr, &t->addr) && !opening_is_stale(o);
}

static __always_inline void count_backend(const struct pkt *p, const struct elb_target *t)
{
    __u32 backend = t->backend;
    struct elb_backend_counter *c = bpf_map_lookup_elem(&elb_backend_counters, &backend);

    trace_detail((struct pkt *)p, backend + 1);
    if (p->tcp_flags & TCP_RST) /* 0 of all but TCP */
        count_reset(backend, t->rewrite);
    if (c) {
        struct counter *way = t->rewrite == ELB_TO_BACKEND ? &c->to_backend : &c->to_client;

        way->packets++;
        way->bytes += p->len;
    }
}

/* Writes an address into the IP header, as source or as destination. */
static __always_inline bool write_addr(struct frame_ctx *ctx, const struct pkt *p,
                                       enum elb_rewrite side, const struct ip_addr *to, __u64 delta)
{
    if (p->flow.family == 4) {
        struct iphdr *ip = frame_at(ctx, p->l3_off, sizeof(*ip));

        if (!ip)
            return false;
        ip->check = csum_update(ip->check, delta);
        if (side == ELB_TO_BACKEND)
            ip->daddr = to->w[3];
        else
            ip->saddr = to->w[3];
    } else {
        struct ipv6hdr *ip = frame_at(ctx, p->l3_off, sizeof(*ip));

        if (!ip)
            return false;
        __builtin_memcpy(side == ELB_TO_BACKEND ? &ip->daddr : &ip->saddr, to, sizeof(*to));
    }
    return true;
}

static __always_inline __u32 rewrite(struct frame_ctx *ctx, struct pkt *p,
                                     const struct elb_target *t)
{
    bool to_backend = t->rewrite == ELB_TO_BACKEND;
    struct ip_addr *addr = to_backend ? &p->flow.daddr : &p->flow.saddr;
    __be16 *port = to_backend ? &p->flow.dport : &p->flow.sport;
    __u64 addr_delta = csum_delta_addr(addr, &t->addr);
    __be16 *ports;

    pkt_rewritten(p);
    csum_rewrite(ctx, p, addr_delta, csum_delta16(*port, t->port));
    if (!write_addr(ctx, p, t->rewrite, &t->addr, addr_delta))
        return SLOW_L4_UNKNOWN;
    ports = frame_at(ctx, p->l4_off, 2 * sizeof(*ports));
    if (!ports)
        return SLOW_L4_UNKNOWN;
    ports[to_backend ? 1 : 0] = t->port;
    *addr = t->addr;
    *port = t->port;
    count_backend(p, t);
    return to_backend ? ELB_NEXT_BACKEND : ELB_NEXT_CLIENT;
}
