/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The time, cheaply. */
#pragma once
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

/* What the clock said when this CPU last asked it, and in which tick of the kernel. */
struct clock_reading {
    __u64 ns;
    __u64 tick;
};

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct clock_reading);
} clock_readings SEC(".maps");

/* CLOCK_MONOTONIC in nanoseconds, at most two ticks of the kernel old: the coarse clock goes
 * on once a tick, and to ask it takes 16 ns, which is more than a packet's parsing; the
 * number of the tick is one load. */
static __always_inline __u64 clock_ns(void)
{
    __u32 zero = 0;
    struct clock_reading *r = bpf_map_lookup_elem(&clock_readings, &zero);
    __u64 tick = bpf_jiffies64();

    if (!r)
        return bpf_ktime_get_coarse_ns();
    if (r->tick != tick) {
        r->ns = bpf_ktime_get_coarse_ns();
        r->tick = tick;
    }
    return r->ns;
}
