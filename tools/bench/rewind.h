/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the rewind program and the benchmark share. */
#pragma once
#include "abi/types.h"

#define REWIND_HEAD 64        /* bytes of the frame that are restored */
#define REWIND_HEAD6 74       /* … of an IPv6 one: to the end of TCP */
#define REWIND_PORTS_SHIFT 15 /* 32,768 flows of one client address */
#define REWIND_FIRST_PORT 1024
#define REWIND_PACKETS 500 /* of one sample: few, so that many samples meet no disturbance */
#define REWIND_SAMPLES 64  /* of one run */

/* Flow n has the source address of `head` plus the high bits of n, and the source port
 * REWIND_FIRST_PORT plus its low bits. */
struct rewind_state {
    __u8 head[80]; /* of flow 0 */
    __u32 flows;
    __u32 stride; /* from one packet's flow to the next one's */
    __u32 flow;   /* of the next packet */
    __u32 until;  /* packets before the next look at the clock */
    __u32 looks;  /* at the clock in this run: sample n is from look n to the next */
    __u32 len;    /* of the frame */
    __u64 last;   /* look */
};
ABI_VALUE(struct rewind_state, 112);

struct rewind_samples {
    __u64 ns[REWIND_SAMPLES];
};
ABI_VALUE(struct rewind_samples, 512);
