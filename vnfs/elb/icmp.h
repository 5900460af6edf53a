/* SPDX-License-Identifier: GPL-2.0-or-later */
/* elb: ICMP errors about packets of a connection (RFC 5508, section 4.2). They go to the
 * side that sent the packet, with the quoted packet as that side sent it; without this no
 * path MTU would be found through elb. What is changed is what netfilter's NAT changes.
 */
#pragma once
#include "vnfs/elb/rewrite.h"

/* Who gets the error: the one whose packets the connection's other direction takes to. */
static __always_inline bool icmp_target(const struct pkt *p, struct elb_scratch *s)
{
    struct elb_target *t = &s->target;
    const struct elb_opening *o;
    const struct elb_conn *c;

    flow_back(&p->quoted, &s->back);
    c = bpf_map_lookup_elem(&elb_conns, &s->back);
    if (c) {
        conn_target(c, t);
        s->far = c->far;
        return true;
    }
    o = opening_lookup(&s->back);
    if (o && o->rewrite == ELB_TO_BACKEND) {
        opening_target(o, t);
        s->far = o->far;
        return true;
    }
    o = opening_answered(s, &s->back);
    if (o) {
        answer_target(o, &s->client, t, &s->far);
        return true;
    }
    return false;
}

/* Writes the quoted packet's end, or ends, that are `t` now; gives what that changes in the
 * sum of the ICMP message. */
static __always_inline __u64 icmp_rewrite_quoted(struct frame_ctx *ctx, const struct pkt *p,
                                                 const struct elb_scratch *s)
{
    const struct elb_target *t = &s->target;
    const struct elb_end *far = &s->far;
    /* To the backend go errors about what it sent. */
    bool source = t->rewrite == ELB_TO_BACKEND, both = t->forward == ELB_SOURCE_NAT;
    const struct flow_key *q = &p->quoted;
    __u64 addr_delta = csum_delta_addr(source ? &q->saddr : &q->daddr, &t->addr);
    __u64 port_delta = csum_delta16(source ? q->sport : q->dport, t->port);
    __u64 delta;
    __u32 field = p->quoted_l4_off + (p->quoted.proto == IPPROTO_TCP ? 16 : 6);
    __u16 *ports, *csum;

    if (both) {
        addr_delta += csum_delta_addr(source ? &q->daddr : &q->saddr, &far->addr);
        port_delta += csum_delta16(source ? q->dport : q->sport, far->port);
    }
    delta = port_delta;
    if (p->flow.family == 4) {
        struct iphdr *ip = frame_at(ctx, p->quoted_l3_off, sizeof(*ip));
        __u16 check;

        if (!ip)
            return 0;
        check = csum_update(ip->check, addr_delta);
        delta += addr_delta + csum_delta16(ip->check, check);
        ip->check = check;
        if (source)
            ip->saddr = t->addr.w[3];
        else
            ip->daddr = t->addr.w[3];
        if (both && source)
            ip->daddr = far->addr.w[3];
        else if (both)
            ip->saddr = far->addr.w[3];
    } else {
        struct ipv6hdr *ip = frame_at(ctx, p->quoted_l3_off, sizeof(*ip));

        if (!ip)
            return 0;
        delta += addr_delta;
        __builtin_memcpy(source ? &ip->saddr : &ip->daddr, &t->addr, sizeof(t->addr));
        if (both)
            __builtin_memcpy(source ? &ip->daddr : &ip->saddr, &far->addr, sizeof(far->addr));
    }
    ports = frame_at(ctx, p->quoted_l4_off, 2 * sizeof(*ports));
    if (ports) {
        ports[source ? 0 : 1] = t->port;
        if (both)
            ports[source ? 1 : 0] = far->port;
    }
    csum = frame_at(ctx, field, sizeof(*csum));
    if (csum && field + 2 <= p->l3_end && p->quoted.proto != IPPROTO_SCTP &&
        !(p->quoted.proto == IPPROTO_UDP && !*csum)) {
        __u16 now = csum_update(*csum, addr_delta + port_delta);

        if (!now && p->quoted.proto == IPPROTO_UDP)
            now = 0xffff;
        delta += csum_delta16(*csum, now);
        *csum = now;
    }
    return delta;
}

/* What the error's own addresses become, which are `t` at one end, or both; gives what that
 * changes in the sum of its pseudo-header. */
static __always_inline __u64 icmp_ends(struct pkt *p, const struct elb_scratch *s)
{
    const struct elb_target *t = &s->target;
    const struct elb_end *far = &s->far;
    bool to_backend = t->rewrite == ELB_TO_BACKEND, both = t->forward == ELB_SOURCE_NAT;
    struct flow_key *f = &p->flow, *q = &p->quoted;
    __u64 delta = csum_delta_addr(to_backend ? &f->daddr : &f->saddr, &t->addr);

    if (both)
        delta += csum_delta_addr(to_backend ? &f->saddr : &f->daddr, &far->addr);
    if (to_backend) {
        f->daddr = q->saddr = t->addr;
        q->sport = t->port;
    } else {
        f->saddr = q->daddr = t->addr;
        q->dport = t->port;
    }
    if (!both)
        return delta;
    if (to_backend) {
        f->saddr = q->daddr = far->addr;
        q->dport = far->port;
    } else {
        f->daddr = q->saddr = far->addr;
        q->sport = far->port;
    }
    return delta;
}

/* An ICMP error with PKT_F_QUOTED; gives the stage's reason, or ELB_FORWARD. A global function, as
 * conn_establish(). */
__noinline __u32 icmp_error(struct frame_ctx *ctx, struct pkt *p)
{
    struct elb_scratch *s = scratch_get();
    struct elb_target *t;
    __u64 addr_delta, delta;
    __u16 *csum;

    if (!p || !s)
        return NEXT;
    t = &s->target;
    if (p->quoted_l4 != PKT_L4_PORTS || !same_addr(&p->flow.daddr, &p->quoted.saddr) ||
        !icmp_target(p, s))
        return NEXT;
    if (ELB_ONE_WAY(t->forward)) /* it has sent the packet as it is quoted */
        return ELB_FORWARD;
    delta = icmp_rewrite_quoted(ctx, p, s);
    addr_delta = icmp_ends(p, s);
    if (p->flow.family == 6) /* ICMPv6 sums a pseudo-header too (RFC 4443, section 2.3) */
        delta += addr_delta;
    csum = frame_at(ctx, p->l4_off + 2, sizeof(*csum));
    if (!csum)
        return SLOW_L4_UNKNOWN;
    *csum = csum_update(*csum, delta);
    if (t->forward == ELB_SOURCE_NAT ? !write_addr(ctx, p, t, &s->far, addr_delta)
                                     : !write_addr(ctx, p, t, NULL, addr_delta))
        return SLOW_L4_UNKNOWN;
    pkt_rewritten(p);
    count_backend(p, t);
    return t->rewrite == ELB_TO_BACKEND ? ELB_NEXT_BACKEND : ELB_NEXT_CLIENT;
}
