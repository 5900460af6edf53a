/* SPDX-License-Identifier: GPL-2.0-or-later */
/* elb: source NAT, for backends that would not answer through us.
 *
 *   client:port -> service     ==>   source:other -> backend
 *   service -> client:port     <==   backend -> source:other
 *
 * Two clients never have the same way back from one backend while a connection of one lives.
 * The port is the client's if it is free, else the first free one in an order that depends on
 * the flow alone. If none of those tried is free, the way goes that has been silent for longest
 * of those whose connection is not established, or has ended.
 */
#pragma once
#include "vnfs/elb/conn.h"

enum way_back {
    WAY_FREE,  /* or this client's already */
    WAY_LEFT,  /* a connection's that is opening or has ended */
    WAY_TAKEN, /* a living connection's */
};

/* Whose the way back in scratch is (enum way_back), for the client whose packet this is. */
__noinline int way_of(void)
{
    struct elb_scratch *s = scratch_get();
    const struct elb_conn *c, *other;
    const struct elb_opening *o;
    struct pkt *p = pkt_get();

    if (!p || !s)
        return WAY_TAKEN;
    c = bpf_map_lookup_elem(&elb_conns, &s->back);
    if (c) {
        client_of(&s->client, &s->back, c);
        if (same_flow(&s->client, &p->flow))
            return WAY_FREE;
        s->since = c->seen;
        other = bpf_map_lookup_elem(&elb_conns, &s->client);
        return ended_whole(c->flags, other ? other->flags : 0) ? WAY_LEFT : WAY_TAKEN;
    }
    o = opening_lookup(&s->back);
    if (!o)
        return WAY_FREE;
    client_of(&s->client, &s->back, o);
    if (same_flow(&s->client, &p->flow))
        return WAY_FREE;
    o = opening_lookup(&s->client);
    if (!o || !opening_has_back(o, &s->back))
        return WAY_FREE;
    s->since = o->seen;
    return WAY_LEFT;
}

/* Notes that the way s->back, from the backend of s->opening, is this client's. */
static __always_inline void way_put(const struct pkt *p, struct elb_scratch *s)
{
    s->opening.addr = p->flow.daddr;
    s->opening.port = p->flow.dport;
    s->opening.rewrite = ELB_TO_CLIENT;
    if (s->opening.forward == ELB_SOURCE_NAT) {
        s->opening.far.addr = p->flow.saddr;
        s->opening.far.port = p->flow.sport;
    }
    opening_enter(&s->back, &s->opening, flow_hash(&s->back), false);
}

/* Whether an opening connection of this client has its way back yet: another may have got it,
 * or it was forgotten, which is mended here. */
__noinline int way_kept(struct elb_opening *o)
{
    struct elb_scratch *s = scratch_get();
    struct pkt *p = pkt_get();

    if (!p || !s)
        return 0;
    if (!o)
        return 0;
    flow_back(&p->flow, &s->back);
    s->back.saddr = o->addr;
    s->back.sport = o->port;
    s->back.daddr = o->far.addr;
    s->back.dport = o->far.port;
    if (way_of() != WAY_FREE)
        return 0;
    __builtin_memset(&s->opening, 0, sizeof(s->opening));
    s->opening.backend = o->backend;
    s->opening.forward = o->forward;
    s->opening.seen = o->seen;
    way_put(p, s);
    return 1;
}

/* One of the service's addresses, the same for all packets of a flow: a network on the way may
 * so spread them. */
static __always_inline bool tunnel_source(struct elb_scratch *s, __u32 hash)
{
    const struct elb_sources *sources = bpf_map_lookup_elem(&elb_sources, &s->terms);

    if (!sources || !sources->count)
        return false;
    s->far.addr = sources->addr[(hash >> 16) % sources->count & (ELB_MAX_SOURCES - 1)];
    s->far.port = 0;
    return true;
}

/* Completes s->back, which has the backend, by a source of s->terms; false if there is none
 * that is not a living connection's. */
__noinline int way_find(__u32 hash)
{
    const struct elb_sources *sources;
    struct elb_scratch *s = scratch_get();
    __u32 all, ports, first, now = elb_now();
    struct pkt *p = pkt_get();

    if (!s)
        return 0;
    if (!p)
        return 0;
    sources = bpf_map_lookup_elem(&elb_sources, &s->terms);
    if (!sources)
        return 0;
    first = sources->first_port;
    ports = sources->last_port - first + 1;
    all = ports * sources->count;
    if (!all)
        return 0;
    s->best = ELB_SOURCE_TRIES;
    /* The last time round takes the best of those before. */
    for (__u32 i = 0; i <= ELB_SOURCE_TRIES; i++) {
        __u32 try = i < ELB_SOURCE_TRIES ? i : s->best, at, port = bpf_ntohs(p->flow.sport);
        int way;

        if (try == ELB_SOURCE_TRIES)
            return 0;
        at = (hash + try * 0x9e3779b1) % all;
        if (try > 0 || port < first || port - first >= ports)
            port = first + at % ports;
        s->back.daddr = sources->addr[at / ports & (ELB_MAX_SOURCES - 1)];
        s->back.dport = bpf_htons(port);
        if (i == ELB_SOURCE_TRIES) {
            conn_is_over(&s->back, true);
            return 1;
        }
        way = way_of();
        if (way == WAY_FREE)
            return 1;
        if (way == WAY_LEFT && (s->best == ELB_SOURCE_TRIES || now - s->since > s->oldest)) {
            s->best = i;
            s->oldest = now - s->since;
        }
    }
    return 0;
}
