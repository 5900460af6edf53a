/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Room for another IP header, and a shorter frame. Packet pointers are not valid after these. */
#pragma once
#include "lib/ctx.h"
#include "lib/stage.h"

#define ROOM_LINK 22 /* an Ethernet header with two tags; what of it is none is written over */

#ifdef EVNF_TC

/* Room of a constant size between the link header and the IP header; with `encap` for one of
 * the packet's family around it. */
static __always_inline bool room_before_l3(struct __sk_buff *ctx, const struct pkt *p, int bytes,
                                           bool encap)
{
    __u64 flags = !encap                ? 0
                  : p->flow.family == 4 ? BPF_F_ADJ_ROOM_ENCAP_L3_IPV4
                                        : BPF_F_ADJ_ROOM_ENCAP_L3_IPV6;

    return bpf_skb_adjust_room(ctx, bytes, BPF_ADJ_ROOM_MAC, flags) == 0 &&
           bpf_skb_pull_data(ctx, PKT_MAX_HEADERS < ctx->len ? PKT_MAX_HEADERS : ctx->len) == 0;
}

static __always_inline bool room_cut(struct __sk_buff *ctx, __u32 len)
{
    return bpf_skb_change_tail(ctx, len, 0) == 0 && bpf_skb_pull_data(ctx, len) == 0;
}

#else

static __always_inline bool room_before_l3(struct xdp_md *ctx, const struct pkt *p, int bytes,
                                           bool encap)
{
    void *data, *end, *link;
    __u64 first, second;
    __u32 third;
    __u16 fourth;

    (void)p;
    (void)encap;
    if (bpf_xdp_adjust_head(ctx, -bytes))
        return false;
    data = (void *)(long)ctx->data;
    end = (void *)(long)ctx->data_end;
    link = data + bytes;
    if (link + ROOM_LINK > end)
        return false;
    first = *(__u64 *)link; /* by registers: the stack is short */
    second = *(__u64 *)(link + 8);
    third = *(__u32 *)(link + 16);
    fourth = *(__u16 *)(link + 20);
    *(__u64 *)data = first;
    *(__u64 *)(data + 8) = second;
    *(__u32 *)(data + 16) = third;
    *(__u16 *)(data + 20) = fourth;
    return true;
}

static __always_inline bool room_cut(struct xdp_md *ctx, __u32 len)
{
    return bpf_xdp_adjust_tail(ctx, (int)(len - frame_len(ctx))) == 0;
}

#endif
