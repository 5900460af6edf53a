/* SPDX-License-Identifier: GPL-2.0-or-later */
/* elb: connections of this host itself. A proxy in user space may have had a service's
 * address and port until now, or have it again when the service goes: what it has open
 * stays with it, and only what opens is balanced.
 */
#pragma once
#include "vnfs/elb/conn.h"

/* Whether a packet of TCP is one of a connection that a socket here has. Who only listens
 * has none. A global function: the stack of its own is for few packets. */
__noinline int is_connection_here(struct frame_ctx *ctx)
{
    struct pkt *p = pkt_get();
    struct bpf_sock_tuple tuple = {};
    struct bpf_sock *sk;
    __u32 size, state;

    if (!p)
        return 0;
    if (p->flow.family == 4) {
        tuple.ipv4.saddr = p->flow.saddr.w[3];
        tuple.ipv4.daddr = p->flow.daddr.w[3];
        tuple.ipv4.sport = p->flow.sport;
        tuple.ipv4.dport = p->flow.dport;
        size = sizeof(tuple.ipv4);
    } else {
        __builtin_memcpy(tuple.ipv6.saddr, &p->flow.saddr, sizeof(tuple.ipv6.saddr));
        __builtin_memcpy(tuple.ipv6.daddr, &p->flow.daddr, sizeof(tuple.ipv6.daddr));
        tuple.ipv6.sport = p->flow.sport;
        tuple.ipv6.dport = p->flow.dport;
        size = sizeof(tuple.ipv6);
    }
    sk = bpf_skc_lookup_tcp(ctx, &tuple, size, BPF_F_CURRENT_NETNS, 0);
    if (!sk)
        return 0;
    state = sk->state;
    bpf_sk_release(sk);
    return state != BPF_TCP_LISTEN;
}
