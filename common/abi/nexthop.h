/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Next hops: where a packet for a destination leaves, and with which MACs.
 *
 * The daemon fills the map from rtnetlink; a miss is answered by
 * bpf_fib_lookup() and told to the daemon once.
 */
#pragma once
#include "abi/types.h"

#define NEXTHOP_MAX_ENTRIES 65536
#define NEXTHOP_MAX_PORTS 64

enum nexthop_state {
    NEXTHOP_PENDING = 0, /* asked for; until the answer the kernel's FIB is asked each time */
    NEXTHOP_RESOLVED,    /* everything below is valid */
    NEXTHOP_SLOW,        /* the kernel must handle it: local, unreachable, … */
    NEXTHOP_BY_ROUTER,   /* as NEXTHOP_RESOLVED; the MAC is a router's, not the destination's */
};

/* Keyed by struct ip_addr: the destination of the packet as it leaves, or pkt.via. */
struct nexthop {
    __u32 ifindex; /* in the map of transmit ports */
    __u16 mtu;     /* largest IP datagram, bytes */
    __u8 state;    /* enum nexthop_state */
    __u8 used;     /* set by the fast path, cleared by the daemon's sweep */
    __u8 smac[6];
    __u8 dmac[6];
    __u32 expires; /* seconds of CLOCK_MONOTONIC: a dead daemon's answers grow old */
};
ABI_VALUE(struct nexthop, 24);
