// SPDX-License-Identifier: GPL-2.0-or-later
/* Puts packets before a stage, one after the other: each repetition of one test run takes
 * the next. A test run by itself takes milliseconds, whatever it runs. */
#include "lib/stage.h"

/* Its size is set before loading. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct pkt);
} feed SEC(".maps");

/* The number of the next. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u32);
} feed_next SEC(".maps");

SEC("xdp")
int feeder(struct xdp_md *ctx)
{
    struct pkt *from, *p = pkt_get();
    __u32 zero = 0, *next = bpf_map_lookup_elem(&feed_next, &zero);

    if (!next || !p)
        return XDP_ABORTED;
    from = bpf_map_lookup_elem(&feed, next);
    if (!from)
        return XDP_ABORTED;
    ++*next;
    *p = *from;
    bpf_tail_call(ctx, &slot_programs, p->slot);
    return XDP_ABORTED;
}

char LICENSE[] SEC("license") = "GPL";
