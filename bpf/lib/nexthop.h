/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The next hop of a destination: the daemon's map, else the kernel's own FIB. */
#pragma once
#include "abi/nexthop.h"
#include "lib/fib.h"
#include "lib/stage.h"

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, NEXTHOP_MAX_ENTRIES);
    __type(key, struct ip_addr);
    __type(value, struct nexthop);
} nexthops SEC(".maps");

/* The interfaces that packets may leave by, keyed by ifindex. */
struct {
    __uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
    __uint(max_entries, NEXTHOP_MAX_PORTS);
    __type(key, __u32);
    __type(value, __u32);
} transmit_ports SEC(".maps");

static __always_inline __u32 nexthop_now(void)
{
    return bpf_ktime_get_coarse_ns() / 1000000000;
}

/* Asks the daemon to resolve `dst`, once: the pending entry says it was asked. */
static __always_inline void nexthop_miss(const struct pkt *p)
{
    struct nexthop pending = {.state = NEXTHOP_PENDING, .used = 1};
    struct event e = {
        .type = EVENT_NEXTHOP_MISS,
        .slot = p->slot,
        .addr = p->flow.daddr,
    };

    if (bpf_map_update_elem(&nexthops, &p->flow.daddr, &pending, BPF_NOEXIST) == 0)
        event_send(&e);
}

/* The kernel's answer, now. Gives FWD_REDIRECT and fills `nh`, or a slow reason. */
static __always_inline __u32 nexthop_from_fib(struct xdp_md *ctx, const struct pkt *p,
                                              struct nexthop *nh)
{
    struct bpf_fib_lookup fib = {.tot_len = p->l3_end - p->l3_off};

    fib_question(&fib, p);
    switch (bpf_fib_lookup(ctx, &fib, sizeof(fib), 0)) {
    case BPF_FIB_LKUP_RET_SUCCESS:
        break;
    case BPF_FIB_LKUP_RET_NO_NEIGH:
        return FWD_SLOW_NO_NEXTHOP;
    case BPF_FIB_LKUP_RET_FRAG_NEEDED:
        return FWD_SLOW_MTU;
    default:
        return FWD_SLOW_LOCAL;
    }
    nh->ifindex = fib.ifindex;
    /* A port that is not in the map cannot transmit XDP frames: the stack can. */
    if (!bpf_map_lookup_elem(&transmit_ports, &nh->ifindex))
        return FWD_SLOW_LOCAL;
    __builtin_memcpy(nh->smac, fib.smac, sizeof(nh->smac));
    __builtin_memcpy(nh->dmac, fib.dmac, sizeof(nh->dmac));
    return FWD_REDIRECT;
}

/* Where the packet, as it now is, goes. Gives FWD_REDIRECT and fills `out`, or the
 * slow reason for which the kernel must have it. */
static __always_inline __u32 nexthop_find(struct xdp_md *ctx, const struct pkt *p,
                                          struct nexthop *out)
{
    struct nexthop *nh = bpf_map_lookup_elem(&nexthops, &p->flow.daddr);

    if (!nh) {
        nexthop_miss(p);
        return nexthop_from_fib(ctx, p, out);
    }
    if (!nh->used)
        nh->used = 1;
    /* A pending entry, or one that no living daemon has vouched for of late. */
    if (nh->state == NEXTHOP_PENDING || nexthop_now() >= nh->expires)
        return nexthop_from_fib(ctx, p, out);
    if (nh->state == NEXTHOP_SLOW)
        return FWD_SLOW_LOCAL;
    if (p->l3_end - p->l3_off > nh->mtu)
        return FWD_SLOW_MTU;
    *out = *nh;
    return FWD_REDIRECT;
}
