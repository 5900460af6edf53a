/* SPDX-License-Identifier: GPL-2.0-or-later */
/* elb: ICMP errors about packets of a connection (RFC 5508, section 4.2). They go to the
 * side that sent the packet, with the quoted packet as that side sent it; without this no
 * path MTU would be found through elb. What is changed is what netfilter's NAT changes.
 */
#pragma once
#include "vnfs/elb/rewrite.h"

/* Who gets the error: the one whose packets the connection's other direction takes to. */
static __always_inline bool icmp_target(const struct pkt *p, struct elb_target *t)
{
    struct flow_key answers = flow_back(&p->quoted), client;
    const struct elb_conn *c = bpf_map_lookup_elem(&elb_conns, &answers);
    const struct elb_opening *o;

    if (c) {
        *t = (struct elb_target){c->addr, c->port, c->backend, c->rewrite};
        return true;
    }
    o = bpf_map_lookup_elem(&elb_openings, &answers);
    if (o && o->rewrite == ELB_TO_BACKEND) {
        *t = (struct elb_target){o->addr, o->port, o->backend, ELB_TO_BACKEND};
        return true;
    }
    o = opening_answered(&answers, &client);
    if (o) {
        *t = (struct elb_target){client.daddr, client.dport, o->backend, ELB_TO_CLIENT};
        return true;
    }
    return false;
}

/* Writes the quoted packet's end that is `t` now; gives what that changes in the sum of
 * the ICMP message. */
static __always_inline __u64 icmp_rewrite_quoted(struct frame_ctx *ctx, const struct pkt *p,
                                                 const struct elb_target *t)
{
    /* To the backend go errors about what it sent. */
    bool source = t->rewrite == ELB_TO_BACKEND;
    const struct ip_addr *old = source ? &p->quoted.saddr : &p->quoted.daddr;
    __u64 addr_delta = csum_delta_addr(old, &t->addr);
    __u64 port_delta = csum_delta16(source ? p->quoted.sport : p->quoted.dport, t->port);
    __u64 delta = port_delta;
    __u32 field = p->quoted_l4_off + (p->quoted.proto == IPPROTO_TCP ? 16 : 6);
    __u16 *ports, *csum;

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
    } else {
        struct ipv6hdr *ip = frame_at(ctx, p->quoted_l3_off, sizeof(*ip));

        if (!ip)
            return 0;
        delta += addr_delta;
        __builtin_memcpy(source ? &ip->saddr : &ip->daddr, &t->addr, sizeof(t->addr));
    }
    ports = frame_at(ctx, p->quoted_l4_off, 2 * sizeof(*ports));
    if (ports)
        ports[source ? 0 : 1] = t->port;
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

/* An ICMP error with PKT_F_QUOTED; gives the stage's reason. A global function, as
 * conn_establish(). */
__noinline __u32 icmp_error(struct frame_ctx *ctx, struct pkt *p)
{
    struct elb_target t;
    struct ip_addr *addr;
    __u64 addr_delta, delta;
    __u16 *csum;

    if (!p)
        return NEXT;
    if (p->quoted_l4 != PKT_L4_PORTS || !same_addr(&p->flow.daddr, &p->quoted.saddr) ||
        !icmp_target(p, &t))
        return NEXT;
    delta = icmp_rewrite_quoted(ctx, p, &t);
    addr = t.rewrite == ELB_TO_BACKEND ? &p->flow.daddr : &p->flow.saddr;
    addr_delta = csum_delta_addr(addr, &t.addr);
    if (p->flow.family == 6) /* ICMPv6 sums a pseudo-header too (RFC 4443, section 2.3) */
        delta += addr_delta;
    csum = frame_at(ctx, p->l4_off + 2, sizeof(*csum));
    if (!csum)
        return SLOW_L4_UNKNOWN;
    *csum = csum_update(*csum, delta);
    if (!write_addr(ctx, p, t.rewrite, &t.addr, addr_delta))
        return SLOW_L4_UNKNOWN;
    *addr = t.addr;
    if (t.rewrite == ELB_TO_BACKEND) {
        p->quoted.saddr = t.addr;
        p->quoted.sport = t.port;
    } else {
        p->quoted.daddr = t.addr;
        p->quoted.dport = t.port;
    }
    pkt_rewritten(p);
    count_backend(p, &t);
    return t.rewrite == ELB_TO_BACKEND ? ELB_NEXT_BACKEND : ELB_NEXT_CLIENT;
}
