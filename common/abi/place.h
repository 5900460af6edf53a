/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A packet's place in its chain, while its slow path has it: the slot that it left and
 * after which it goes on.
 *
 *   XDP ── struct place_meta, before the frame ──> tc ingress ── skb->tc_index ──>
 *     netfilter, routing ──> tc egress: goes on after the slot
 *
 * skb->tc_index stays with a packet through forwarding, connection tracking, NAT,
 * fragmentation and queues to user space, and netfilter has no way to set it, as it has
 * for skb->mark. Only another tc program on the same interface can.
 *
 * A packet may be with its slow path for longer than the generation whose place it has is
 * there: then it is dropped, as no stage that it has not seen may be passed by.
 *
 * A place is 16 bits: 0b111, owner (which evnfd of this network namespace), generation,
 * slot. Slot 0: the chain is over, the kernel decides alone.
 */
#pragma once
#include "abi/chain.h"

#define PLACE_MAGIC 0xe000
#define PLACE_OWNER_SHIFT 9 /* 4 bits */
#define PLACE_OWNERS 16
#define PLACE_OWNER_MASK ((PLACE_OWNERS - 1) << PLACE_OWNER_SHIFT)
#define PLACE_GENERATION_SHIFT 7 /* 2 bits: the one in force, and those it replaced */
#define PLACE_GENERATIONS 4
#define PLACE_SLOT_MASK 0x7f
#define PLACE_TAG_MASK 0xff80 /* all but the slot */
#if CHAIN_MAX_SLOTS > PLACE_SLOT_MASK + 1
#error a slot must fit into a place
#endif

/* XDP metadata (bpf_xdp_adjust_meta). */
struct place_meta {
    __u32 magic; /* PLACE_META_MAGIC: other programs use metadata too */
    __u16 place;
    __u16 bucket; /* EXIT_XSK: of the flow, see abi/copy.h. Slot 0: whether it was in the chain */
};
ABI_VALUE(struct place_meta, 8);
#define PLACE_META_MAGIC 0x65564e46

/* What a packet has before it that goes to a worker by AF_XDP. */
struct xsk_meta {
    __u64 note;   /* pkt.note */
    __u16 l3_off; /* pkt.l3_off */
    __u16 pad[3];
    struct place_meta place; /* next to the frame */
};
ABI_VALUE(struct xsk_meta, 24);

/* An interface with a chain, by ifindex: what comes in there must have a place when it
 * goes out. In force once one packet with a place has been seen, as not every driver has
 * room for metadata. */
struct place_guard {
    __u32 slot; /* the root's, which counts what is dropped */
    __u32 armed;
    __u32 routed; /* the chain has only frames for this host, whatever their MACs are by now */
};
ABI_VALUE(struct place_guard, 12);

/* Where a slot's slow packets go. */
enum exit_kind {
    EXIT_STACK, /* the kernel: netfilter, routing, sockets */
    EXIT_TAP,   /* out of an interface of its own, and back in by it */
    EXIT_XSK,   /* user space: a worker of the VNF */
};
struct slot_exit {
    __u32 kind;       /* enum exit_kind */
    __u32 ifindex;    /* EXIT_TAP */
    __u32 down_drops; /* when nobody is there: drop, or else go on */
};
ABI_VALUE(struct slot_exit, 12);
