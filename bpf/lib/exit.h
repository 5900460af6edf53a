/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where slow packets go, so that each goes on after the slot that it left, once:
 *
 *   stack   XDP_PASS with the place as metadata; tc takes it up (bpf/resume.bpf.c)
 *   tap     out of an interface of the slot's own; its root knows the slot
 *   xsk     to user space with the slot as metadata; its worker puts it back
 *
 * Included by lib/stage.h.
 */
#pragma once
#include "abi/copy.h"
#include "abi/place.h"

/* Set before loading. Whether any packet may have to go on after a slow path: if none
 * may, nothing of this is in the programs. */
const volatile __u32 chain_resumes = 0;
/* The place's owner and generation. */
const volatile __u32 chain_place_tag = 0;

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, CHAIN_MAX_SLOTS);
    __type(key, __u32);
    __type(value, struct slot_exit);
} slot_exits SEC(".maps");

#include "lib/copy.h"
#include "lib/csum.h"

/* Nobody is at the exit, or none who could take this packet: on, or the end. */
static __always_inline int exit_down(struct frame_ctx *ctx, struct pkt *p,
                                     const struct slot_exit *e)
{
    if (!e->down_drops)
        return slot_go_on(ctx, p, NEXT_EXIT_DOWN);
    slot_count(ctx, p, DROP_EXIT_DOWN);
    return FRAME_DROP;
}

#ifdef EVNF_TC

/* The kernel has had this packet already: what goes to it goes on. */
static __always_inline int exit_slow(struct frame_ctx *ctx, struct pkt *p)
{
    struct slot_exit *e = bpf_map_lookup_elem(&slot_exits, &p->slot);

    if (!e || e->kind == EXIT_STACK)
        return slot_go_on(ctx, p, NEXT_RESUMED);
    if (e->kind == EXIT_XSK)
        return copy_held(ctx, p) ? FRAME_DROP : exit_down(ctx, p, e);
    if (!e->ifindex)
        return exit_down(ctx, p, e);
    ctx->tc_index = chain_place_tag; /* where it is sent, tc must not go on with it */
    return bpf_redirect(e->ifindex, 0);
}

#else

/* Interfaces by slot: EXIT_TAP. Empty while the interface is away. */
struct {
    __uint(type, BPF_MAP_TYPE_DEVMAP);
    __uint(max_entries, CHAIN_MAX_SLOTS);
    __type(key, __u32);
    __type(value, __u32);
} exit_taps SEC(".maps");

/* AF_XDP sockets by pkt.port * EXIT_QUEUES + queue. Empty while no worker is there. */
struct {
    __uint(type, BPF_MAP_TYPE_XSKMAP);
    __uint(max_entries, EXIT_PORTS *EXIT_QUEUES);
    __type(key, __u32);
    __type(value, __u32);
} exit_xsks SEC(".maps");

static __always_inline void place_put(struct place_meta *m, __u32 place, __u32 bucket)
{
    m->magic = PLACE_META_MAGIC;
    m->place = place;
    m->bucket = bucket;
}

/* Writes the packet's place before the frame. */
static __always_inline bool place_write(struct xdp_md *ctx, __u32 place, __u32 bucket)
{
    struct place_meta *m;

    if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*m)))
        return false;
    m = (void *)(long)ctx->data_meta;
    if ((void *)(m + 1) > (void *)(long)ctx->data)
        return false;
    place_put(m, place, bucket);
    return true;
}

/* The same for a worker, with what its stage tells it. */
static __always_inline bool xsk_write(struct xdp_md *ctx, const struct pkt *p)
{
    struct xsk_meta *m;

    if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*m)))
        return false;
    m = (void *)(long)ctx->data_meta;
    if ((void *)(m + 1) > (void *)(long)ctx->data)
        return false;
    m->note = p->note;
    m->l3_off = p->l3_off;
    place_put(&m->place, chain_place_tag | p->slot, copy_bucket(&p->flow));
    return true;
}

/* The kernel gets the packet for good: the chain is over, or never was its. */
static __always_inline int exit_to_kernel(struct xdp_md *ctx, bool was_in_chain)
{
    if (chain_resumes)
        place_write(ctx, chain_place_tag, was_in_chain);
    return XDP_PASS;
}

/* By AF_XDP; a packet that came back by a tap or from user space, or an interface without
 * sockets, by ring buffer. */
static __always_inline int exit_xsk(struct xdp_md *ctx, struct pkt *p, const struct slot_exit *e)
{
    __u32 key = p->port * EXIT_QUEUES + ctx->rx_queue_index;

    if (p->len > COPY_HELD_BYTES)
        return exit_down(ctx, p, e);
    if (p->port < EXIT_PORTS && ctx->rx_queue_index < EXIT_QUEUES &&
        bpf_map_lookup_elem(&exit_xsks, &key)) {
        if (xsk_write(ctx, p))
            return bpf_redirect_map(&exit_xsks, key, XDP_DROP);
        slot_count(ctx, p, DROP_NO_METADATA);
        return XDP_DROP;
    }
    return copy_held(ctx, p) ? XDP_DROP : exit_down(ctx, p, e);
}

static __always_inline int exit_slow(struct xdp_md *ctx, struct pkt *p)
{
    struct slot_exit *e;

    if (!chain_resumes)
        return XDP_PASS;
    e = bpf_map_lookup_elem(&slot_exits, &p->slot);
    if (e && e->kind == EXIT_XSK)
        return exit_xsk(ctx, p, e);
    if (e && e->kind == EXIT_TAP) {
        if (!bpf_map_lookup_elem(&exit_taps, &p->slot))
            return exit_down(ctx, p, e);
        csum_finish(ctx, p); /* who reads there is not told that it is to be finished yet */
        return bpf_redirect_map(&exit_taps, p->slot, XDP_DROP);
    }
    if (place_write(ctx, chain_place_tag | p->slot, 0))
        return XDP_PASS;
    slot_count(ctx, p, DROP_NO_METADATA);
    return XDP_DROP;
}

#endif
