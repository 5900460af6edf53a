/* SPDX-License-Identifier: GPL-2.0-or-later */
/* elb: how many connections each backend has now: established ones that neither side has ended.
 * Counted where one begins or ends, which few packets do; what ends in silence the daemon
 * counts, and it mends what two CPUs may have counted at once (active.hpp).
 */
#pragma once
#include "lib/stage.h"
#include "vnfs/elb/abi.h"

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE); /* the daemon adds to it, too */
    __uint(max_entries, ELB_MAX_BACKENDS);
    __type(key, __u32);
    __type(value, struct elb_active);
    __uint(pinning, LIBBPF_PIN_BY_NAME);
} elb_active SEC(".maps");

static __always_inline __u64 active_connections(__u32 backend)
{
    const struct elb_active *a = bpf_map_lookup_elem(&elb_active, &backend);

    return a && a->began > a->ended ? a->began - a->ended : 0;
}

static __always_inline void active_begins(__u32 backend)
{
    struct elb_active *a = bpf_map_lookup_elem(&elb_active, &backend);

    if (a)
        __sync_fetch_and_add(&a->began, 1);
}

static __always_inline void active_ends(__u32 backend)
{
    struct elb_active *a = bpf_map_lookup_elem(&elb_active, &backend);

    if (a)
        __sync_fetch_and_add(&a->ended, 1);
}
