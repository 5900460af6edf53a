/* SPDX-License-Identifier: GPL-2.0-or-later */
/* elb: writes a backend's or a service's address and port into a packet. */
#pragma once
#include <linux/ip.h>
#include <linux/ipv6.h>

#include "lib/csum.h"
#include "lib/stage.h"
#include "vnfs/elb/conn.h"
#include "vnfs/elb/events.h"

static __always_inline void conn_target(const struct elb_conn *c, struct elb_target *t)
{
    *t = (struct elb_target){.addr = c->addr,
                             .port = c->port,
                             .backend = c->backend,
                             .rewrite = c->rewrite,
                             .forward = c->forward};
}

/* Of a client's packet of an opening connection. */
static __always_inline void opening_target(const struct elb_opening *o, struct elb_target *t)
{
    *t = (struct elb_target){.addr = o->addr,
                             .port = o->port,
                             .backend = o->backend,
                             .rewrite = ELB_TO_BACKEND,
                             .forward = o->forward};
}

/* Of a backend's answer to one, whose client's flow is `client`. */
static __always_inline void answer_target(const struct elb_opening *o,
                                          const struct flow_key *client, struct elb_target *t,
                                          struct elb_end *far)
{
    *t = (struct elb_target){.addr = client->daddr,
                             .port = client->dport,
                             .backend = o->backend,
                             .rewrite = ELB_TO_CLIENT,
                             .forward = o->forward};
    far->addr = client->saddr;
    far->port = client->sport;
}

/* Whether a client's opening connection is under way to its target. */
static __always_inline bool opening_leads_to(const struct elb_opening *o,
                                             const struct elb_target *t)
{
    return o->rewrite == ELB_TO_BACKEND && o->forward == t->forward && !o->flags &&
           o->port == t->port && same_addr(&o->addr, &t->addr) && !opening_is_stale(o);
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

/* Writes an address into the IP header, as source or as destination, and `far`, if there is one,
 * on the other side. `delta` is what both change in a checksum. */
static __always_inline bool write_addr(struct frame_ctx *ctx, const struct pkt *p,
                                       const struct elb_target *t, const struct elb_end *far,
                                       __u64 delta)
{
    bool to_backend = t->rewrite == ELB_TO_BACKEND;

    if (p->flow.family == 4) {
        struct iphdr *ip = frame_at(ctx, p->l3_off, sizeof(*ip));

        if (!ip)
            return false;
        ip->check = csum_update(ip->check, delta);
        if (to_backend)
            ip->daddr = t->addr.w[3];
        else
            ip->saddr = t->addr.w[3];
        if (far && to_backend)
            ip->saddr = far->addr.w[3];
        else if (far)
            ip->daddr = far->addr.w[3];
    } else {
        struct ipv6hdr *ip = frame_at(ctx, p->l3_off, sizeof(*ip));

        if (!ip)
            return false;
        __builtin_memcpy(to_backend ? &ip->daddr : &ip->saddr, &t->addr, sizeof(t->addr));
        if (far)
            __builtin_memcpy(to_backend ? &ip->saddr : &ip->daddr, &far->addr, sizeof(far->addr));
    }
    return true;
}

/* One correction of the checksums for all that is rewritten: one end, or both. */
static __always_inline __u32 rewrite(struct frame_ctx *ctx, struct pkt *p,
                                     const struct elb_target *t, const struct elb_end *far)
{
    bool to_backend = t->rewrite == ELB_TO_BACKEND;
    struct ip_addr *addr = to_backend ? &p->flow.daddr : &p->flow.saddr;
    struct ip_addr *far_addr = to_backend ? &p->flow.saddr : &p->flow.daddr;
    __be16 *port = to_backend ? &p->flow.dport : &p->flow.sport;
    __be16 *far_port = to_backend ? &p->flow.sport : &p->flow.dport;
    __u64 addr_delta = csum_delta_addr(addr, &t->addr);
    __u64 port_delta = csum_delta16(*port, t->port);
    __be16 *ports;

    if (far) {
        addr_delta += csum_delta_addr(far_addr, &far->addr);
        port_delta += csum_delta16(*far_port, far->port);
    }
    pkt_rewritten(p);
    csum_rewrite(ctx, p, addr_delta, port_delta);
    if (!write_addr(ctx, p, t, far, addr_delta))
        return SLOW_L4_UNKNOWN;
    ports = frame_at(ctx, p->l4_off, 2 * sizeof(*ports));
    if (!ports)
        return SLOW_L4_UNKNOWN;
    ports[to_backend ? 1 : 0] = t->port;
    *addr = t->addr;
    *port = t->port;
    if (far) {
        ports[to_backend ? 0 : 1] = far->port;
        *far_addr = far->addr;
        *far_port = far->port;
    }
    count_backend(p, t);
    return to_backend ? ELB_NEXT_BACKEND : ELB_NEXT_CLIENT;
}
