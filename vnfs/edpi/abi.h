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

/* edpi_flow.copied */
#define EDPI_COPIED 0x0000ffff /* packets for the workers */
#define EDPI_POLICY 0x7fff0000 /* the number of the flow's policy; 0: none */
#define EDPI_POLICY_SHIFT 16
#define EDPI_KEPT 0x80000000 /* known, and kept in the fast path: nothing goes the slow way */

/* pkt.note of a packet that waits for a worker: the slot of its flow, and since when that
 * has it, for a slot may be another flow's by the time that the worker looks. */
#define EDPI_NOTE_SLOT_BITS 24
#define EDPI_NOTE(slot, first) ((__u64)(slot) | (first) >> 20 << EDPI_NOTE_SLOT_BITS)

/* A flow, one cache line. The fast path adds, user space reads: all of its packets are here and
 * in edpi_others until its end, whatever becomes of its classification. */
struct edpi_flow {
    __u64 packets[2]; /* from end 0, from end 1 */
    __u64 bytes[2];   /* of whole frames */
    __u64 first;      /* CLOCK_MONOTONIC_COARSE, ns */
    __u64 last;
    __u32 seen;   /* EDPI_SEEN_* */
    __u32 copied; /* EDPI_COPIED; and by user space, what is done with its packets */
    __u16 master; /* nDPI's numbers: user space writes them */
    __u16 app;
    __u32 state; /* enum edpi_state */
};
ABI_VALUE(struct edpi_flow, 64);

/* Two cache lines of one page: what is counted, and whose it is. */
struct edpi_slot {
    struct edpi_flow flow;
    struct edpi_key key;
    __u32 cpu[2]; /* a CPU, and one: it alone adds to flow's counts of that end; 0: none yet */
    __u64 pad;
};
ABI_VALUE(struct edpi_slot, 128);

/* As in edpi_flow: what others have counted, or what is in records. */
struct edpi_counts {
    __u64 packets[2];
    __u64 bytes[2];
};
ABI_VALUE(struct edpi_counts, 32);

/* In which slots flows were found of late, one cache line: a flow is in the line of its hash. */
#define EDPI_LINE_WAYS 8
#define EDPI_LINE_ROOM 2 /* ways for each slot that there is: about, and at least */
#define EDPI_WAY(tag, slot) ((__u64)(tag) << 32 | ((slot) + 1)) /* 0: nothing is there */

struct edpi_line {
    __u64 way[EDPI_LINE_WAYS];
};
ABI_VALUE(struct edpi_line, 64);

/* User space's alone: what must outlive it. */
struct edpi_book {
    __u64 offered;              /* slots that have been put into edpi_free at least once */
    struct counter unaccounted; /* what of edpi_unaccounted is in records already */
};
ABI_VALUE(struct edpi_book, 24);

/* How packets come to those who say what they are. */
enum edpi_mode {
    EDPI_COPY,    /* copies of the first */
    EDPI_CAPTURE, /* the same; the packets are a mirror's, and end here */
    EDPI_STACK,   /* copies too; of what is not kept, the packets go to the kernel */
    EDPI_TAP,     /* … out of an interface, and come back */
    EDPI_XSK,     /* the packets themselves: they wait for the worker's word */
};

struct edpi_settings {
    __u32 mode;          /* enum edpi_mode */
    __u32 snapshot;      /* bytes of a packet that a copy has */
    __u32 tcp_packets;   /* of a flow that are copied, at most */
    __u32 other_packets; /* of a flow that is not TCP */
    __u64 kept_bytes;    /* a flow that is known and has had so many is kept; 0: never for that */
};
ABI_VALUE(struct edpi_settings, 24);

enum edpi_action {
    EDPI_FORWARD,
    EDPI_DROP,
    EDPI_LIMIT, /* a token bucket of bytes for all packets of the policy */
    EDPI_MARK,  /* with a DSCP */
    EDPI_SEND,  /* by another way of the chain */
};

#define EDPI_MAX_POLICIES 256
/* Numbers of policies: of the list in force, one after it, and what daemons have left that
 * died over a change. */
#define EDPI_POLICY_NUMBERS (1 + 4 * EDPI_MAX_POLICIES)
#define EDPI_COST_SHIFT 20
#define EDPI_WAYS 8

/* What is done with a flow's packets. Its number means the same as long as any flow has it. */
struct edpi_policy {
    __u64 mark;   /* of its text: a policy keeps its number as long as it is the same; 0: none */
    __u64 cost;   /* EDPI_LIMIT: nanoseconds for a byte, in units of 2^-EDPI_COST_SHIFT */
    __u64 depth;  /* EDPI_LIMIT: nanoseconds in which an empty bucket is full */
    __u32 action; /* enum edpi_action */
    __u32 value;  /* EDPI_MARK: the DSCP; EDPI_SEND: the way, from 0 */
};
ABI_VALUE(struct edpi_policy, 32);

/* edpi_policy_counters, of each number */
enum edpi_policy_count {
    EDPI_POLICY_MET,
    EDPI_POLICY_DROPPED, /* of those; in the fast path, if not all are */
    EDPI_POLICY_COUNTS,
};

/* X(name in C, value, name for people, what it means) */
/* clang-format off */
#define EDPI_REASONS(X) \
    X(EDPI_NEXT_WAY1, VNF_REASON(VERDICT_NEXT, 0), "way1", "a policy sends it this way") \
    X(EDPI_NEXT_WAY2, VNF_REASON(VERDICT_NEXT, 1), "way2", "a policy sends it this way") \
    X(EDPI_NEXT_WAY3, VNF_REASON(VERDICT_NEXT, 2), "way3", "a policy sends it this way") \
    X(EDPI_NEXT_WAY4, VNF_REASON(VERDICT_NEXT, 3), "way4", "a policy sends it this way") \
    X(EDPI_NEXT_WAY5, VNF_REASON(VERDICT_NEXT, 4), "way5", "a policy sends it this way") \
    X(EDPI_NEXT_WAY6, VNF_REASON(VERDICT_NEXT, 5), "way6", "a policy sends it this way") \
    X(EDPI_NEXT_WAY7, VNF_REASON(VERDICT_NEXT, 6), "way7", "a policy sends it this way") \
    X(EDPI_NEXT_WAY8, VNF_REASON(VERDICT_NEXT, 7), "way8", "a policy sends it this way") \
    X(EDPI_DROP_CAPTURED, VNF_REASON(VERDICT_DROP, 0), "captured", "accounted: the mirror's packets end here") \
    X(EDPI_DROP_POLICY, VNF_REASON(VERDICT_DROP, 1), "policy_drop", "a policy drops its application") \
    X(EDPI_DROP_LIMIT, VNF_REASON(VERDICT_DROP, 2), "policy_limit", "above what a policy lets through") \
    X(EDPI_SLOW_INSPECT, VNF_REASON(VERDICT_SLOW, 0), "inspect", "its flow is not known, or not one that is kept here")
/* clang-format on */

enum edpi_reason { EDPI_REASONS(CHAIN_REASON_ENUM) };
