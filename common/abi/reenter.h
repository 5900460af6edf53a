/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Packets that a worker puts back by one call of BPF_PROG_RUN: bpf/lib/batch.h takes one for
 * each run of the program. */
#pragma once
#include "abi/types.h"

/* Packets of a call, at most. More would cost little less, and be many at once for a queue on
 * the way out: that of a veth has room for 256. */
#define REENTER_BATCH 64
#define REENTER_ROOM 4096 /* for a frame: FRAME_COPY_ROOM of bpf/lib/ctx.h */
#define REENTER_META_MAGIC 0x65564e42

struct reenter_packet {
    __u32 place; /* see abi/place.h */
    __u32 len;
    __u8 frame[REENTER_ROOM];
};
ABI_VALUE(struct reenter_packet, 4104);

/* A call, by worker. */
struct reenter_call {
    __u64 key;   /* another for each call; nobody else can know it */
    __u32 count; /* packets of it */
    __u32 taken; /* runs so far */
    __u32 put;   /* packets that went on with their chains */
    __u32 pad;
    __u8 order[REENTER_BATCH]; /* which packets, one after another */
};
ABI_VALUE(struct reenter_call, 88);

/* What the frames have before them that the kernel makes for a call. */
struct reenter_meta {
    __u32 magic; /* REENTER_META_MAGIC */
    __u32 worker;
    __u64 key;
};
ABI_VALUE(struct reenter_meta, 16);
