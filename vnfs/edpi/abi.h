/* SPDX-License-Identifier: GPL-2.0-or-later */
/* edpi: what its fast path and its C++ share. */
#pragma once
#include "abi/chain.h"
#include "abi/pkt.h"

/* What the packets of a flow have in common besides addresses and protocol. */
enum edpi_kind {
    EDPI_PORTS,    /* TCP, UDP or SCTP ports; a first fragment has them too */
    EDPI_NO_PORTS, /* ICMP, GRE, ESP, …: all of the protocol between two hosts */
    EDPI_FRAGMENT, /* fragments that are not the first: the ports are not in them */
    EDPI_UNREAD,   /* layer 4 is malformed, or behind headers that could not be read */
};

/* A flow, both directions: the lower end first. It is a map key as it stands. */
struct edpi_key {
    struct ip_addr addr[2];
    __be16 port[2];            /* zero unless EDPI_PORTS */
    __u8 proto;                /* IPPROTO_* */
    __u8 family;               /* 4 or 6 */
    __u8 kind;                 /* enum edpi_kind */
    __u8 pad;                  /* always zero */
    __u16 vlan[PKT_MAX_VLANS]; /* ids, outermost first; 0: no tag, or one without an id */
    __u32 pad2;                /* always zero */
};
ABI_KEY(struct edpi_key, 48);

/* Who may change it: a free slot is the fast path's to take, a used one user space's to end. */
enum edpi_state {
    EDPI_FREE, /* it is in edpi_free */
    EDPI_NEW,  /* the fast path is about to make it a flow's */
    EDPI_OPEN, /* a flow that is not classified */
    EDPI_CLASSIFIED,
    EDPI_GIVEN_UP, /* a flow that cannot be classified */
    EDPI_SPARE,    /* two CPUs had the first packets of a flow: it is the other's */
    EDPI_ENDING,   /* user space takes it out of edpi_index and exports it */
    EDPI_TOLD,     /* it is exported, and is made empty */
    EDPI_DONE,     /* it is empty; it may be in edpi_free already, or not yet */
};

/* edpi_flow.seen: bits 0 to 7 are the TCP flags of packets from end 0, 8 to 15 from end 1. */
#define EDPI_SEEN_FLAGS(end) (8 * (end))
#define EDPI_SEEN_COPY_LOST (1 << 16) /* the workers have not had a copy that they should have */
#define EDPI_SEEN_FROM_1 (1 << 17)    /* the first packet came from end 1 */

/* One flow's slot, one cache line. The fast path adds, user space reads: all of the packets
 * of a flow are here until its end, whatever becomes of its classification. */
struct edpi_flow {
    __u64 packets[2]; /* from end 0, from end 1 */
    __u64 bytes[2];   /* of whole frames */
    __u64 first;      /* CLOCK_MONOTONIC_COARSE, ns */
    __u64 last;
    __u32 seen;   /* EDPI_SEEN_* */
    __u32 copied; /* packets for the workers */
    __u16 master; /* nDPI's numbers: user space writes them */
    __u16 app;
    __u32 state; /* enum edpi_state */
};
ABI_VALUE(struct edpi_flow, 64);

/* What of a slot's flow is in records already. User space's alone. */
struct edpi_exported {
    __u64 packets[2];
    __u64 bytes[2];
};
ABI_VALUE(struct edpi_exported, 32);

/* User space's alone: what must outlive it. */
struct edpi_book {
    __u64 offered;              /* slots that have been put into edpi_free at least once */
    struct counter unaccounted; /* what of edpi_unaccounted is in records already */
};
ABI_VALUE(struct edpi_book, 24);

struct edpi_settings {
    __u32 capture;       /* the packets are a mirror's: they end here */
    __u32 snapshot;      /* bytes of a packet that a copy has */
    __u32 tcp_packets;   /* of a flow that are copied, at most */
    __u32 other_packets; /* of a flow that is not TCP */
};
ABI_VALUE(struct edpi_settings, 16);

/* X(name in C, value, name for people, what it means) */
/* clang-format off */
#define EDPI_REASONS(X) \
    X(EDPI_DROP_CAPTURED, VNF_REASON(VERDICT_DROP, 0), "captured", "accounted: the mirror's packets end here")
/* clang-format on */

enum edpi_reason { EDPI_REASONS(CHAIN_REASON_ENUM) };
