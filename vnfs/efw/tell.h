/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copies for the workers, who log packets and answer what is rejected. */
#pragma once
#include <linux/in.h>

#include "lib/stage.h"
#include "vnfs/efw/abi.h"

/* What is logged is all in struct pkt. */
#define TELL_LOG_BYTES 16
/* ICMP quotes 548 bytes of an IPv4 packet at most, 1232 of an IPv6 one (RFC 1812 4.3.2.3,
 * RFC 4443 2.4). */
#define TELL_QUOTE4_BYTES 548
#define TELL_QUOTE6_BYTES 1232
/* A RST needs no more than the TCP header, without its options. */
#define TELL_TCP_BYTES 20

/* How much of a rejected packet the answer is made of. */
static __always_inline __u32 tell_reject_bytes(const struct pkt *p)
{
    if (p->flow.proto == IPPROTO_TCP && p->l4 == PKT_L4_PORTS)
        return p->l4_off + TELL_TCP_BYTES;
    return p->l3_off + (p->flow.family == 4 ? TELL_QUOTE4_BYTES : TELL_QUOTE6_BYTES);
}

/* Whether a packet that the rule has just counted is one of those that it logs: on each
 * CPU the first, and then one in so many. */
static __always_inline bool tell_sampled(const struct match_rule *rule, void *counters)
{
    __u32 index = rule->counter, sample = rule->number[1];
    struct counter *c = bpf_map_lookup_elem(counters, &index);

    return c && sample && (c->packets - 1) % sample == 0;
}

static __always_inline void tell_workers(struct frame_ctx *ctx, const struct pkt *p,
                                         const struct match_rule *rule, void *counters)
{
    __u32 note = rule->counter | (__u32)rule->action << EFW_NOTE_ACTION_SHIFT;

    if (tell_sampled(rule, counters))
        note |= EFW_NOTE_LOG;
    if (rule->action == EFW_REJECT)
        packet_copy(ctx, tell_reject_bytes(p), note);
    else if (note & EFW_NOTE_LOG)
        packet_copy(ctx, TELL_LOG_BYTES, note);
}
