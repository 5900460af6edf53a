/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a program is handed. Every stage is built twice from one source: for XDP, and
 * with EVNF_TC for tc egress, where packets that the kernel had as slow path go on. Both
 * contexts have `data` and `data_end`; the rest that differs is here.
 */
#pragma once
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

/* A copy's length as the verifier of Linux 6.1 can follow it: 1 to FRAME_COPY_ROOM. Give
 * the buffer as many bytes. */
#define FRAME_COPY_ROOM 4096
#define frame_copy_len(len) ((((len)-1) & (FRAME_COPY_ROOM - 1)) + 1)

#ifdef EVNF_TC
#define frame_ctx __sk_buff
#define FRAME_SECTION "tc"
#define FRAME_DROP 2    /* TC_ACT_SHOT */
#define FRAME_PASS (-1) /* TC_ACT_UNSPEC: on with the next tc program, then out */
#define frame_load bpf_skb_load_bytes
#define frame_len(ctx) ((ctx)->len)
#else
#define frame_ctx xdp_md
#define FRAME_SECTION "xdp"
#define FRAME_DROP XDP_DROP
#define FRAME_PASS XDP_PASS
#define frame_load bpf_xdp_load_bytes

/* Linux 6.1 refuses arithmetic on the lower halves of packet pointers, which is what the
 * compiler makes of this without the barrier. */
static __always_inline __u32 frame_len(struct xdp_md *ctx)
{
    __u64 len = (void *)(long)ctx->data_end - (void *)(long)ctx->data;

    asm volatile("" : "+r"(len));
    return len;
}
#endif
