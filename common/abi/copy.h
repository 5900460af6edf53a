/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Packets for a VNF's workers in user space. */
#pragma once
#include "abi/pkt.h"

#define COPY_MAX_BYTES 3500  /* of a frame; no XDP frame of a 4 KiB page is longer */
#define COPY_HELD_BYTES 3300 /* of one that can be put back: the kernel notes more before it */
#define COPY_RING_BYTES (1 << 20)
#define COPY_RINGS 16            /* workers, at most */
#define COPY_BUCKETS 128         /* flows are spread over the rings by these; a power of two */
#define COPY_ALIVE_NS 3000000000 /* workers who have said nothing for so long are gone */
#define EXIT_PORTS 16            /* interfaces with AF_XDP sockets */
#define EXIT_QUEUES 16           /* of each */

/* What comes before the frame's bytes in a ring. */
struct copy_head {
    __u32 place;  /* see abi/place.h; with slot 0 the packet itself goes on: this is a copy */
    __u32 caplen; /* bytes of the frame that follow */
    __u64 ns;     /* when, by CLOCK_MONOTONIC */
    __u32 note;   /* of a copy: what the stage tells its worker; its abi.h says what it means */
    __u32 pad;
    struct pkt pkt;
};
ABI_VALUE(struct copy_head, 184);

struct copy_count {
    __u64 sent;
    __u64 lost;
};
ABI_VALUE(struct copy_count, 16);
