/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The next hop of a destination: the daemon's map, else the kernel's own FIB.
 *
 * In front of the map each CPU remembers what it last found there, in one line for each of a
 * few destinations: a lookup in the map costs 30 ns, here 5.
 */
#pragma once
#include "abi/nexthop.h"
#include "lib/addr.h"
#include "lib/clock.h"
#include "lib/fib.h"
#include "lib/stage.h"

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, NEXTHOP_MAX_ENTRIES);
    __type(key, struct ip_addr);
    __type(value, struct nexthop);
} nexthops SEC(".maps");

/* Counts the daemon's changes of `nexthops`: what was found before is looked up again. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u32);
} nexthop_changes SEC(".maps");

#define NEXTHOP_LINES 256 /* a power of two */

struct nexthop_line {
    struct ip_addr destination;
    __u32 changes; /* nexthop_changes before it was looked up */
    struct nexthop found;
};

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, NEXTHOP_LINES);
    __type(key, __u32);
    __type(value, struct nexthop_line);
} nexthop_lines SEC(".maps");

/* The interfaces that packets may leave by, keyed by ifindex. */
struct {
    __uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
    __uint(max_entries, NEXTHOP_MAX_PORTS);
    __type(key, __u32);
    __type(value, __u32);
} transmit_ports SEC(".maps");

static __always_inline __u32 nexthop_now(void)
{
    return clock_ns() / 1000000000;
}

static __always_inline struct nexthop_line *nexthop_line(const struct ip_addr *a)
{
    __u32 at = (a->w[0] ^ a->w[1] ^ a->w[2] ^ a->w[3]) * 0x9e3779b1;

    at >>= 24;
    return bpf_map_lookup_elem(&nexthop_lines, &at);
}

/* Asks the daemon to resolve `dst`, once: the pending entry says it was asked. */
static __always_inline void nexthop_miss(const struct pkt *p)
{
    const struct ip_addr *dst = fib_destination(p);
    struct nexthop pending = {.state = NEXTHOP_PENDING, .used = 1};
    struct event e = {
        .type = EVENT_NEXTHOP_MISS,
        .slot = p->slot,
        .addr = *dst,
    };

    if (bpf_map_update_elem(&nexthops, dst, &pending, BPF_NOEXIST) == 0)
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
    if (p->flags & PKT_F_VIA && !fib_is_neighbour(&fib, p))
        return FWD_DROP_VIA;
    nh->ifindex = fib.ifindex;
    /* A port that is not in the map cannot transmit XDP frames: the stack can. */
    if (!bpf_map_lookup_elem(&transmit_ports, &nh->ifindex))
        return FWD_SLOW_LOCAL;
    __builtin_memcpy(nh->smac, fib.smac, sizeof(nh->smac));
    __builtin_memcpy(nh->dmac, fib.dmac, sizeof(nh->dmac));
    return FWD_REDIRECT;
}

/* What the map has, or NULL. */
static __always_inline const struct nexthop *nexthop_known(const struct ip_addr *a)
{
    struct nexthop_line *line = nexthop_line(a);
    __u32 zero = 0, *changes = bpf_map_lookup_elem(&nexthop_changes, &zero), before;
    struct nexthop *nh;

    if (!line || !changes)
        return NULL;
    before = *(volatile __u32 *)changes;
    if (line->changes == before && line->found.state != NEXTHOP_PENDING &&
        same_addr(&line->destination, a))
        return &line->found;
    nh = bpf_map_lookup_elem(&nexthops, a);
    if (!nh)
        return NULL;
    if (!nh->used)
        nh->used = 1;
    line->destination = *a;
    line->changes = before;
    line->found = *nh;
    return &line->found;
}

/* Where the packet, as it now is, goes. Gives FWD_REDIRECT and fills `out`, or the
 * slow reason for which the kernel must have it. */
static __always_inline __u32 nexthop_find(struct xdp_md *ctx, const struct pkt *p,
                                          struct nexthop *out)
{
    const struct nexthop *nh = nexthop_known(fib_destination(p));

    if (!nh) {
        nexthop_miss(p);
        return nexthop_from_fib(ctx, p, out);
    }
    /* A pending entry, or one that no living daemon has vouched for of late. */
    if (nh->state == NEXTHOP_PENDING || nexthop_now() >= nh->expires)
        return nexthop_from_fib(ctx, p, out);
    if (nh->state == NEXTHOP_SLOW)
        return FWD_SLOW_LOCAL;
    if (p->l3_end - p->l3_off > nh->mtu)
        return FWD_SLOW_MTU;
    if (p->flags & PKT_F_VIA && nh->state == NEXTHOP_BY_ROUTER)
        return FWD_DROP_VIA;
    *out = *nh;
    return FWD_REDIRECT;
}
