/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What every stage is made of, and the only place that knows of tail calls.
 *
 *   STAGE(efw)
 *   {
 *           return match(p) ? NEXT : EFW_DROP_RULE;
 *   }
 *
 * is a whole program. Its body gets the frame (`ctx`) and what the root found in it
 * (`p`), and gives a reason (abi/chain.h), which is counted for the stage's slot and
 * carried out here. Where a slow packet goes, and how it comes back: lib/exit.h.
 */
#pragma once
#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "abi/chain.h"
#include "abi/pkt.h"
#include "lib/ctx.h"

/* The packet being worked on. Neither XDP nor tc programs nest on one CPU, so one entry
 * for each CPU holds it from the root to the end of the chain. */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct pkt);
} pkt_scratch SEC(".maps");

/* Program of each slot. Built anew for each generation of the chains. */
struct {
    __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
    __uint(max_entries, CHAIN_MAX_SLOTS);
    __type(key, __u32);
    __type(value, __u32);
#ifdef EVNF_TC
} slot_tc_programs SEC(".maps");
#define slot_programs slot_tc_programs
#else
} slot_programs SEC(".maps");
#endif

/* The slot that follows, by slot * CHAIN_OUTPUTS + output. Built anew for each generation. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, CHAIN_MAX_SLOTS *CHAIN_OUTPUTS);
    __type(key, __u32);
    __type(value, __u32);
} slot_next SEC(".maps");

/* Packets and bytes by slot * CHAIN_MAX_REASONS + reason. Outlives the daemon. */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, CHAIN_MAX_SLOTS *CHAIN_MAX_REASONS);
    __type(key, __u32);
    __type(value, struct counter);
    __uint(pinning, LIBBPF_PIN_BY_NAME);
} slot_counters SEC(".maps");

/* Events for the daemon. Full, it loses an event, never a packet. */
struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 256 * 1024);
} events SEC(".maps");

/* Events lost because `events` was full, by enum event_type. */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, EVENT_TYPE_MAX);
    __type(key, __u32);
    __type(value, __u64);
    __uint(pinning, LIBBPF_PIN_BY_NAME);
} events_lost SEC(".maps");

/* Set before loading: the program's own slot, and the one that follows whatever its
 * output. Each place of a chain has a copy of its program with these: a constant target
 * makes the tail call a direct jump. Zero: not known before, looked up. */
const volatile __u32 place_slot = 0;
const volatile __u32 place_next = 0;

/* NULL never is: the array has its one entry. */
static __always_inline struct pkt *pkt_get(void)
{
    __u32 zero = 0;
    struct pkt *p = bpf_map_lookup_elem(&pkt_scratch, &zero);

    if (p && place_slot)
        p->slot = place_slot;
    return p;
}

/* For a stage that has changed pkt.flow: what others remembered of the flow is another's. */
static __always_inline void pkt_rewritten(struct pkt *p)
{
    p->match = 0;
    p->hash = 0;
}

static __always_inline void count(void *percpu_counters, __u32 index, __u32 bytes)
{
    struct counter *c = bpf_map_lookup_elem(percpu_counters, &index);

    if (c) {
        c->packets++;
        c->bytes += bytes;
    }
}

#include "lib/trace.h"

/* The packet leaves its slot. */
static __always_inline void slot_count(struct frame_ctx *ctx, struct pkt *p, __u32 reason)
{
    count(&slot_counters, p->slot * CHAIN_MAX_REASONS + reason, p->len);
    trace_leave(ctx, p, reason);
}

/* Counts the reason and hands the packet to the program of slot `next`. */
static __always_inline int slot_goto(struct frame_ctx *ctx, struct pkt *p, __u32 reason, __u32 next)
{
    __u32 from = p->slot;

    slot_count(ctx, p, reason);
    p->slot = next;
    bpf_tail_call(ctx, &slot_programs, next);
    /* An empty slot: whether a firewall stood there is unknown, so closed. */
    p->slot = from;
    slot_count(ctx, p, DROP_NO_STAGE);
    return FRAME_DROP;
}

/* Counts the reason, which is of VERDICT_NEXT, and hands the packet on. */
static __always_inline int slot_go_on(struct frame_ctx *ctx, struct pkt *p, __u32 reason)
{
    __u32 output = p->slot * CHAIN_OUTPUTS + (reason & (CHAIN_OUTPUTS - 1));
    __u32 *next;

    if (place_next)
        return slot_goto(ctx, p, reason, place_next);
    next = bpf_map_lookup_elem(&slot_next, &output);
    return slot_goto(ctx, p, reason, next ? *next : 0);
}

#include "lib/exit.h"

/* Counts the reason and carries it out. VERDICT_DONE is for the ends, which have an
 * action of their own to return. */
static __always_inline int slot_leave(struct frame_ctx *ctx, struct pkt *p, __u32 reason)
{
    switch (reason & VERDICT_MASK) {
    case VERDICT_NEXT:
        return slot_go_on(ctx, p, reason);
    case VERDICT_SLOW:
        slot_count(ctx, p, reason);
        return exit_slow(ctx, p);
    default:
        slot_count(ctx, p, reason);
        return FRAME_DROP;
    }
}

#define STAGE(name)                                                                                \
    static __always_inline __u32 name##_stage(struct frame_ctx *ctx, struct pkt *p);               \
    SEC(FRAME_SECTION)                                                                             \
    int name(struct frame_ctx *ctx)                                                                \
    {                                                                                              \
        struct pkt *p = pkt_get();                                                                 \
                                                                                                   \
        if (!p)                                                                                    \
            return FRAME_DROP;                                                                     \
        return slot_leave(ctx, p, name##_stage(ctx, p));                                           \
    }                                                                                              \
    static __always_inline __u32 name##_stage(struct frame_ctx *ctx __attribute__((unused)),       \
                                              struct pkt *p)

/* Tells the daemon; lost and counted if it does not keep up. */
static __always_inline void event_send(struct event *e)
{
    __u32 type = e->type;
    __u64 *lost;

    if (bpf_ringbuf_output(&events, e, sizeof(*e), 0) == 0)
        return;
    lost = bpf_map_lookup_elem(&events_lost, &type);
    if (lost)
        (*lost)++;
}

/* The headers a stage rewrites, or NULL if the frame is shorter than p says. */
static __always_inline void *frame_at(struct frame_ctx *ctx, __u32 off, __u32 size)
{
    void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
    void *at = data + (off & 0x7ff);

    return at + size > end ? NULL : at;
}
