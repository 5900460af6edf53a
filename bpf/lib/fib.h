/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the kernel's routing is asked about a packet, as it now is. */
#pragma once
#include <linux/bpf.h>

#include "abi/pkt.h"

#define AF_INET 2
#define AF_INET6 10

static __always_inline void fib_question(struct bpf_fib_lookup *fib, const struct pkt *p)
{
    fib->l4_protocol = p->flow.proto;
    fib->sport = p->flow.sport;
    fib->dport = p->flow.dport;
    fib->ifindex = p->ifindex;
    if (p->flow.family == 4) {
        fib->family = AF_INET;
        fib->ipv4_src = p->flow.saddr.w[3];
        fib->ipv4_dst = p->flow.daddr.w[3];
    } else {
        fib->family = AF_INET6;
        __builtin_memcpy(fib->ipv6_src, &p->flow.saddr, sizeof(fib->ipv6_src));
        __builtin_memcpy(fib->ipv6_dst, &p->flow.daddr, sizeof(fib->ipv6_dst));
    }
}
