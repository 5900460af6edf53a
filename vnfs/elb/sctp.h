/* SPDX-License-Identifier: GPL-2.0-or-later */
/* elb: what an SCTP packet says (RFC 9260), in TCP's terms, which the tables of connections
 * speak: INIT is a SYN, INIT ACK is SYN and ACK, ABORT is RST, and SHUTDOWN, SHUTDOWN ACK and
 * SHUTDOWN COMPLETE are FIN.
 *
 * Only addresses are rewritten: SCTP's checksum covers the ports, but no pseudo-header.
 */
#pragma once
#include <linux/in.h>
#include <linux/tcp.h>

#include "lib/stage.h"

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

#define SCTP_COMMON_HEADER 12
#define SCTP_MAX_CHUNKS 8 /* looked at in a packet; data is the last */

enum sctp_type {
    SCTP_DATA = 0,
    SCTP_INIT = 1,
    SCTP_INIT_ACK = 2,
    SCTP_ABORT = 6,
    SCTP_SHUTDOWN = 7,
    SCTP_SHUTDOWN_ACK = 8,
    SCTP_SHUTDOWN_COMPLETE = 14,
};

struct sctp_chunk {
    __u8 type;
    __u8 flags;
    __be16 length;
};

/* A global function: the verifier goes through its loop once, and only SCTP calls it. */
__noinline int sctp_signs(struct frame_ctx *ctx)
{
    struct pkt *p = pkt_get();
    __u32 off;

    if (!p)
        return 0;
    off = p->l4_off + SCTP_COMMON_HEADER;
    for (int i = 0; i < SCTP_MAX_CHUNKS; i++) {
        struct sctp_chunk chunk;
        __u32 length;

        if (off + sizeof(chunk) > p->l3_end || frame_load(ctx, off, &chunk, sizeof(chunk)))
            break;
        switch (chunk.type) {
        case SCTP_INIT:
            return TCP_SYN;
        case SCTP_INIT_ACK:
            return TCP_SYN | TCP_ACK;
        case SCTP_ABORT:
            return TCP_RST;
        case SCTP_SHUTDOWN:
        case SCTP_SHUTDOWN_ACK:
        case SCTP_SHUTDOWN_COMPLETE:
            return TCP_FIN;
        case SCTP_DATA:
            return TCP_ACK;
        }
        length = bpf_ntohs(chunk.length);
        if (length < sizeof(chunk))
            break;
        off += (length + 3) & ~3U;
    }
    return TCP_ACK;
}

/* What a packet says of its connection, as TCP's flags; nothing in UDP. */
static __always_inline __u8 signs_of(struct frame_ctx *ctx, const struct pkt *p)
{
    return p->flow.proto == IPPROTO_SCTP ? sctp_signs(ctx) : p->tcp_flags;
}
