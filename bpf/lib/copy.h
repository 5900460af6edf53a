/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copies for the VNF's workers, through ring buffers: all packets of a flow, in both
 * directions, to the same worker. A full ring loses a copy, which is counted. Included
 * by lib/exit.h.
 */
#pragma once
#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "abi/copy.h"
#include "lib/clock.h"
#include "lib/ctx.h"

struct copy_buffer {
    struct copy_head head;
    __u8 bytes[FRAME_COPY_ROOM];
};

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct copy_buffer);
} copy_scratch SEC(".maps");

struct copy_ring {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, COPY_RING_BYTES);
};

/* One ring for each worker of the slots' instances. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
    __uint(max_entries, COPY_RINGS);
    __type(key, __u32);
    __array(values, struct copy_ring);
} copy_rings SEC(".maps");

/* The ring of each bucket of flows. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, COPY_BUCKETS);
    __type(key, __u32);
    __type(value, __u32);
} copy_ring_of SEC(".maps");

/* When the workers last said that they are there (CLOCK_MONOTONIC_COARSE): the rings stay
 * when the daemon is gone, and would take packets that nobody gives back. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u64);
} copy_alive SEC(".maps");

/* Copies sent and lost, by slot. */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, CHAIN_MAX_SLOTS);
    __type(key, __u32);
    __type(value, struct copy_count);
} copy_counts SEC(".maps");

/* The same for both directions of a flow. */
static __always_inline __u32 copy_bucket(const struct flow_key *f)
{
    __u32 h = f->sport ^ f->dport ^ f->proto;

    for (int i = 0; i < 4; i++)
        h ^= f->saddr.w[i] ^ f->daddr.w[i];
    h ^= h >> 16;
    h ^= h >> 8;
    return h & (COPY_BUCKETS - 1);
}

/* Sends up to `snap` bytes of the frame, and `note`. False if they are lost: no worker, a full
 * ring, or an unreadable frame. A global function: the verifier goes through it once. */
__noinline int copy_send(struct frame_ctx *ctx, __u32 snap, __u32 place, __u32 note)
{
    struct pkt *p = pkt_get();
    __u32 zero = 0, bucket, len;
    struct copy_buffer *b = bpf_map_lookup_elem(&copy_scratch, &zero);
    struct copy_count *c;
    void *ring = NULL;
    __u32 *index;
    bool sent = false;

    if (!p || !b)
        return 0;
    len = frame_len(ctx);
    if (len > snap)
        len = snap;
    if (len == 0 || len > COPY_MAX_BYTES)
        return 0;
    bucket = copy_bucket(&p->flow);
    index = bpf_map_lookup_elem(&copy_ring_of, &bucket);
    if (index)
        ring = bpf_map_lookup_elem(&copy_rings, index);
    if (ring && frame_load(ctx, 0, b->bytes, frame_copy_len(len)) == 0) {
        b->head.place = place;
        b->head.caplen = len;
        b->head.ns = bpf_ktime_get_ns();
        b->head.note = note;
        b->head.pkt = *p;
        sent = bpf_ringbuf_output(ring, b, sizeof(b->head) + frame_copy_len(len), 0) == 0;
    }
    c = bpf_map_lookup_elem(&copy_counts, &p->slot);
    if (c)
        (*(sent ? &c->sent : &c->lost))++;
    return sent;
}

/* For a stage: its workers get a copy with a note, the packet goes on as the stage says. */
static __always_inline void packet_copy(struct frame_ctx *ctx, __u32 snap, __u32 note)
{
    copy_send(ctx, snap, 0, note);
}

/* The worker gets the packet itself; false if it cannot, and the packet is still here. */
static __always_inline bool copy_held(struct frame_ctx *ctx, const struct pkt *p)
{
    __u32 zero = 0;
    __u64 *alive = bpf_map_lookup_elem(&copy_alive, &zero);

    if (!alive || clock_ns() - *alive > COPY_ALIVE_NS)
        return false;
    return p->len <= COPY_HELD_BYTES &&
           copy_send(ctx, COPY_HELD_BYTES, chain_place_tag | p->slot, 0);
}
