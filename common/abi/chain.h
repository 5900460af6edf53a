/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The chain: slots, and the reason for which a packet leaves a stage.
 *
 * A slot is one place in one chain: a root (one for each interface), a stage or
 * the forwarder at the end. It indexes the prog array, the table of successors
 * and the counters. A slot keeps its number while its chain and stage keep their
 * names, whatever is inserted or removed around it.
 */
#pragma once
#include "abi/types.h"

#define CHAIN_MAX_SLOTS 128 /* slot 0 is never given out: it means none */
#define CHAIN_OUTPUTS 16    /* of a slot: the low four bits of a reason of VERDICT_NEXT */
#define CHAIN_MAX_REASONS 64

/* A stage gives one reason for each packet. Its upper bits say what becomes of the
 * packet, so a reason is a verdict too: the low four bits tell the cases apart, 0
 * to 7 common to all stages, 8 to 15 the VNF's own (in its abi.h). */
enum verdict {
    VERDICT_NEXT = 0 << 4, /* goes on, to the slot that follows by this reason's low bits */
    VERDICT_DROP = 1 << 4, /* ends here */
    VERDICT_SLOW = 2 << 4, /* goes to the slow path: the kernel's stack */
    VERDICT_DONE = 3 << 4, /* leaves on the wire */
};
#define VERDICT_MASK 0x30
#define VNF_REASON(verdict, n) ((verdict) | 8 | (n))

/* X(name in C, name for people, what it means) */
/* clang-format off */
#define CHAIN_REASONS(X) \
    X(NEXT, VERDICT_NEXT | 0, "next", "went on to the next stage") \
    X(NEXT_EXIT_DOWN, VERDICT_NEXT | 1, "exit_down", "its slow path is away: went on without it") \
    X(NEXT_RESUMED, VERDICT_NEXT | 2, "resumed", "came back from the slow path and went on") \
    X(DROP_NO_STAGE, VERDICT_DROP | 0, "no_stage", "the next slot is empty: a broken chain") \
    X(DROP_LINK_CUT, VERDICT_DROP | 1, "link_cut", "the frame ends inside a VLAN tag") \
    X(DROP_IP_CUT, VERDICT_DROP | 2, "ip_cut", "the frame ends inside the IP header") \
    X(DROP_IP_HEADER, VERDICT_DROP | 3, "ip_header", "IP version or header length is impossible") \
    X(DROP_IP_LENGTH, VERDICT_DROP | 4, "ip_length", "the IP datagram is longer than the frame") \
    X(DROP_EXIT_DOWN, VERDICT_DROP | 5, "exit_down", "its slow path is away: closed") \
    X(DROP_NO_METADATA, VERDICT_DROP | 6, "no_metadata", "the driver has no room for the packet's place in the chain") \
    X(DROP_PLACE_LOST, VERDICT_DROP | 7, "place_lost", "another tc program took the packet's place in the chain away, or its chain is gone") \
    X(SLOW_NOT_IP, VERDICT_SLOW | 0, "not_ip", "ARP, LLDP, MPLS, …: not ours") \
    X(SLOW_NOT_OUR_MAC, VERDICT_SLOW | 1, "not_our_mac", "broadcast, multicast or another host's frame") \
    X(SLOW_FRAGMENT, VERDICT_SLOW | 2, "fragment", "the ports needed to decide are not in every fragment") \
    X(SLOW_L4_UNKNOWN, VERDICT_SLOW | 3, "l4_unknown", "the layer 4 header needed to decide is missing or malformed")
/* clang-format on */

/* The ends' own. */
/* clang-format off */
#define FORWARD_REASONS(X) \
    X(FWD_REDIRECT, VNF_REASON(VERDICT_DONE, 0), "redirect", "sent out of an interface") \
    X(FWD_SLOW_OPTIONS, VNF_REASON(VERDICT_SLOW, 0), "ip_options", "IPv4 options or hop-by-hop header: the kernel's work") \
    X(FWD_SLOW_VLAN, VNF_REASON(VERDICT_SLOW, 1), "vlan", "a tagged frame is routed by the kernel") \
    X(FWD_SLOW_ADDRESS, VNF_REASON(VERDICT_SLOW, 2), "address", "multicast, link-local, loopback or other address that is not simply routed") \
    X(FWD_SLOW_TTL, VNF_REASON(VERDICT_SLOW, 3), "ttl", "TTL or hop limit is used up: the kernel answers") \
    X(FWD_SLOW_MTU, VNF_REASON(VERDICT_SLOW, 4), "mtu", "longer than the next link takes: the kernel answers") \
    X(FWD_SLOW_LOCAL, VNF_REASON(VERDICT_SLOW, 5), "not_forwarded", "for this host, or not routable by a next hop") \
    X(FWD_SLOW_NO_NEXTHOP, VNF_REASON(VERDICT_SLOW, 6), "no_nexthop", "next hop not resolved yet: the kernel resolves it") \
    X(FWD_HOST, VNF_REASON(VERDICT_SLOW, 7), "host", "the chain ends at this host") \
    X(FWD_KERNEL, VNF_REASON(VERDICT_DONE, 1), "by_kernel", "came from the slow path: sent as the kernel routed it") \
    X(FWD_REROUTED, VNF_REASON(VERDICT_DONE, 2), "rerouted", "came from the slow path and has another destination since") \
    X(FWD_DROP_NO_PEER, VNF_REASON(VERDICT_DROP, 0), "no_peer", "the wire's other end is not set") \
    X(FWD_DROP_CHAIN, VNF_REASON(VERDICT_DROP, 1), "chain", "the chain ends here") \
    X(FWD_DROP_NO_ROUTE, VNF_REASON(VERDICT_DROP, 2), "no_route", "no way to its new destination, or too long for it") \
    X(FWD_DROP_VIA, VNF_REASON(VERDICT_DROP, 3), "via", "not to be sent to the neighbour that a stage has chosen: it is not resolved yet, or none; or the kernel would have to do it")
/* clang-format on */

#define CHAIN_REASON_ENUM(name, value, text, help) name = (value),
enum chain_reason { CHAIN_REASONS(CHAIN_REASON_ENUM) };
enum forward_reason { FORWARD_REASONS(CHAIN_REASON_ENUM) };

/* What a fast path tells the slow path through the ring buffer `events`. */
enum event_type {
    EVENT_NEXTHOP_MISS = 1,
    EVENT_TYPE_MAX,
};

struct event {
    __u32 type;          /* enum event_type */
    __u32 slot;          /* who says it */
    struct ip_addr addr; /* EVENT_NEXTHOP_MISS: the destination */
};
ABI_VALUE(struct event, 24);
