/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the kernel's routing is asked about a packet, as it now is. */
#pragma once
#include <linux/bpf.h>
#include <stdbool.h>

#include "abi/pkt.h"

#define AF_INET 2
#define AF_INET6 10

/* What a packet's way is looked up by. */
static __always_inline const struct ip_addr *fib_destination(const struct pkt *p)
{
    return p->flags & PKT_F_VIA ? &p->via : &p->flow.daddr;
}

static __always_inline void fib_question(struct bpf_fib_lookup *fib, const struct pkt *p)
{
    const struct ip_addr *to = fib_destination(p);

    fib->l4_protocol = p->flow.proto;
    fib->sport = p->flow.sport;
    fib->dport = p->flow.dport;
    fib->ifindex = p->ifindex;
    if (p->flow.family == 4) {
        fib->family = AF_INET;
        fib->ipv4_src = p->flow.saddr.w[3];
        fib->ipv4_dst = to->w[3];
    } else {
        fib->family = AF_INET6;
        __builtin_memcpy(fib->ipv6_src, &p->flow.saddr, sizeof(fib->ipv6_src));
        __builtin_memcpy(fib->ipv6_dst, to, sizeof(fib->ipv6_dst));
    }
}

/* Whether the answer to fib_question() is a way to the packet's destination itself, not to a
 * router: the kernel writes a router's address in its place. */
static __always_inline bool fib_is_neighbour(const struct bpf_fib_lookup *fib, const struct pkt *p)
{
    const struct ip_addr *to = fib_destination(p);

    if (p->flow.family == 4)
        return fib->family == AF_INET && fib->ipv4_dst == to->w[3];
    for (int i = 0; i < 4; i++)
        if (fib->ipv6_dst[i] != to->w[i])
            return false;
    return true;
}
