/* SPDX-License-Identifier: GPL-2.0-or-later */
/* elb: what happens to connections, counted by backend. Few packets come here. */
#pragma once
#include "vnfs/elb/conn.h"

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, ELB_MAX_BACKENDS);
    __type(key, __u32);
    __type(value, struct elb_backend_events);
    __uint(pinning, LIBBPF_PIN_BY_NAME);
} elb_backend_events SEC(".maps");

static __always_inline void count_placed(__u32 backend)
{
    struct elb_backend_counter *c = bpf_map_lookup_elem(&elb_backend_counters, &backend);

    if (c)
        c->connections++;
}

static __always_inline void count_reset(__u32 backend, enum elb_rewrite direction)
{
    struct elb_backend_events *e = bpf_map_lookup_elem(&elb_backend_events, &backend);

    if (!e)
        return;
    if (direction == ELB_TO_BACKEND)
        e->client_resets++;
    else
        e->backend_resets++;
}

/* Counts for its new backend an opening connection that is placed elsewhere than before. */
static __always_inline void count_moved(const struct elb_opening *before, __u32 backend)
{
    struct elb_backend_events *e;

    if (!before || before->backend == backend || before->flags || opening_is_stale(before))
        return;
    e = bpf_map_lookup_elem(&elb_backend_events, &backend);
    if (e)
        e->moved++;
}
