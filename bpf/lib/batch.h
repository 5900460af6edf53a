/* SPDX-License-Identifier: GPL-2.0-or-later */
/* BPF_PROG_RUN for many live frames runs a program on as many copies of one frame. Here each
 * copy becomes a packet of its own, out of memory that the worker shares:
 *
 *   reenter_calls[worker].order ──> reenter_packets[worker] ──> the frame
 *
 * All frames of a call (REENTER_BATCH at most, so that it is one batch to the kernel) pass on
 * one CPU, and nothing else that comes here does meanwhile.
 */
#pragma once
#include "abi/copy.h"
#include "abi/reenter.h"
#include "lib/ctx.h"

_Static_assert(REENTER_ROOM == FRAME_COPY_ROOM, "frame_copy_len() is for that");

/* Sizes, not types: the compiler leaves out a type that only an inner map has. */
struct reenter_worker_packets {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, REENTER_BATCH);
    __uint(key_size, sizeof(__u32));
    __uint(value_size, sizeof(struct reenter_packet));
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
    __uint(max_entries, COPY_RINGS);
    __type(key, __u32);
    __array(values, struct reenter_worker_packets);
} reenter_packets SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, COPY_RINGS);
    __type(key, __u32);
    __type(value, struct reenter_call);
} reenter_calls SEC(".maps");

/* The worker whose call this CPU is in. */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u32);
} reenter_worker SEC(".maps");

/* The first frame of a call says whose it is. A later one may be one that was dropped and is
 * used again: then anything stands before it, but not the call's key. */
static __always_inline struct reenter_call *batch_call(struct xdp_md *ctx, __u32 *worker)
{
    struct reenter_meta *m = (void *)(long)ctx->data_meta;
    struct reenter_call *call;
    __u32 zero = 0, *mine = bpf_map_lookup_elem(&reenter_worker, &zero);

    if (!mine)
        return NULL;
    if ((void *)(m + 1) <= (void *)(long)ctx->data && m->magic == REENTER_META_MAGIC) {
        *worker = m->worker;
        call = bpf_map_lookup_elem(&reenter_calls, worker);
        if (call && call->key == m->key)
            *mine = *worker;
    }
    *worker = *mine;
    return bpf_map_lookup_elem(&reenter_calls, worker);
}

/* Makes the frame the call's next packet. Its place, or 0. */
static __always_inline __u32 batch_next(struct xdp_md *ctx)
{
    __u32 worker = 0, index, len;
    struct reenter_call *call = batch_call(ctx, &worker);
    struct reenter_packet *packet;
    void *packets;

    if (!call || bpf_xdp_adjust_meta(ctx, sizeof(struct reenter_meta)))
        return 0;
    packets = bpf_map_lookup_elem(&reenter_packets, &worker);
    index = call->taken;
    if (!packets || index >= call->count || index >= REENTER_BATCH)
        return 0;
    call->taken = index + 1;
    index = call->order[index];
    packet = bpf_map_lookup_elem(packets, &index);
    if (!packet)
        return 0;
    len = packet->len;
    if (len == 0 || len > COPY_HELD_BYTES ||
        bpf_xdp_adjust_tail(ctx, (int)len - (int)frame_len(ctx)) ||
        bpf_xdp_store_bytes(ctx, 0, packet->frame, frame_copy_len(len)))
        return 0;
    call->put++;
    return packet->place;
}
