/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Watching packets on their way: which slots, for what reason, by which rule or entry, in
 * what time. While nobody watches, chain_observe is zero and nothing of this is in the
 * programs; to watch, the daemon puts a generation in force that has it. Included by
 * lib/stage.h.
 */
#pragma once
#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "abi/trace.h"
#include "lib/ctx.h"

/* Set before loading. */
const volatile __u32 chain_observe = 0;

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct trace_wanted);
} trace_wanted SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, TRACE_RING_BYTES);
} traces SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct trace_state);
} trace_states SEC(".maps");

/* By slot: samples, and the nanoseconds of all of them. */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, CHAIN_MAX_SLOTS);
    __type(key, __u32);
    __type(value, struct slot_time);
} slot_times SEC(".maps");

struct trace_buffer {
    struct trace_record record;
    __u8 bytes[FRAME_COPY_ROOM];
};

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct trace_buffer);
} trace_scratch SEC(".maps");

static __always_inline struct trace_state *trace_state(void)
{
    __u32 zero = 0;

    return bpf_map_lookup_elem(&trace_states, &zero);
}

/* Called where a packet enters its chain, before it is parsed. */
static __always_inline void trace_clock(struct pkt *p)
{
    struct trace_state *s;

    if (!chain_observe)
        return;
    s = trace_state();
    if (!s)
        return;
    s->seen++;
    s->id = 0;
    p->detail = 0;
    s->since = s->seen % TRACE_TIME_EVERY == 0 ? bpf_ktime_get_ns() : 0;
}

/* Called when it is. `parsed`: p->flow is valid. */
static __always_inline void trace_begin(const struct pkt *p, bool parsed)
{
    struct trace_wanted *w;
    struct trace_state *s;
    __u32 zero = 0;

    if (!chain_observe)
        return;
    s = trace_state();
    w = bpf_map_lookup_elem(&trace_wanted, &zero);
    if (!s || !w)
        return;
    if (w->active && (parsed ? trace_matches(&w->filter, &p->flow) : w->all))
        s->id = s->seen * TRACE_MAX_CPUS + bpf_get_smp_processor_id();
}

/* Sends one record. A global function: the verifier goes through it once. */
__noinline int trace_send(struct frame_ctx *ctx, __u32 reason)
{
    struct pkt *p;
    struct trace_state *s = trace_state();
    struct trace_wanted *w;
    struct trace_buffer *b;
    __u32 zero = 0, len, size;

    p = bpf_map_lookup_elem(&pkt_scratch, &zero);
    w = bpf_map_lookup_elem(&trace_wanted, &zero);
    b = bpf_map_lookup_elem(&trace_scratch, &zero);
    if (!p || !s || !w || !b)
        return 0;
    if ((w->slot && w->slot != p->slot) || !(w->verdicts & (1 << (reason >> 4))))
        return 0;
    len = frame_len(ctx);
    if (len > w->snap)
        len = w->snap;
    if (len > TRACE_MAX_BYTES)
        len = TRACE_MAX_BYTES;
    if (len && frame_load(ctx, 0, b->bytes, frame_copy_len(len)))
        len = 0;
    b->record.id = s->id;
    b->record.ns = bpf_ktime_get_ns();
    b->record.reason = reason;
    b->record.caplen = len;
    b->record.pkt = *p;
    size = sizeof(b->record);
    if (len)
        size += frame_copy_len(len);
    if (bpf_ringbuf_output(&traces, b, size, 0))
        s->lost++;
    return 0;
}

/* Called where a packet leaves a slot. */
static __always_inline void trace_leave(struct frame_ctx *ctx, struct pkt *p, __u32 reason)
{
    struct trace_state *s;
    struct slot_time *t;
    __u64 now;

    if (!chain_observe)
        return;
    s = trace_state();
    if (!s)
        return;
    if (s->since) {
        now = bpf_ktime_get_ns();
        t = bpf_map_lookup_elem(&slot_times, &p->slot);
        if (t) {
            t->samples++;
            t->ns += now - s->since;
        }
    }
    if (s->id)
        trace_send(ctx, reason);
    p->detail = 0;
    if (s->since) /* what tracing takes is not the next slot's */
        s->since = bpf_ktime_get_ns();
}

/* For a stage: which rule or entry decides, for people who watch. */
static __always_inline void trace_detail(struct pkt *p, __u32 detail)
{
    if (chain_observe)
        p->detail = detail;
}
