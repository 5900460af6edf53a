/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The lines in which rules' answers to flows are remembered. All stages of a chain share
 * them: the first that asks for a packet's line finds it, the others have it by pkt.match.
 * A stage that rewrites what pkt.flow has says so: pkt_rewritten().
 *
 * An exact match of all that the rules look at, so an answer is as good as the search that
 * gave it, as long as the ruleset that it names is in force. Each CPU has its own; neither
 * XDP nor tc programs nest on one.
 */
#pragma once
#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "abi/match.h"
#include "abi/pkt.h"

/* Set before loading, as the sizes of the maps are: lines for each CPU, a power of two,
 * and a number that senders of packets do not know. */
const volatile __u32 match_flow_lines = MATCH_FLOW_WAYS;
const volatile __u32 match_flow_seed = 1;
/* Of the answers of a line, which is the stage's. MATCH_ANSWERS: none. */
const volatile __u32 match_column = 0;

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE); /* begins on a page, so no entry lies in two lines */
    __uint(max_entries, MATCH_FLOW_WAYS);
    __type(key, __u32);
    __type(value, struct match_flow);
} chain_match_flows SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, MATCH_FLOW_WAYS);
    __type(key, __u32);
    __type(value, struct match_flow6);
} chain_match_flows6 SEC(".maps");

/* What rules look at besides the flow: equal for packets of a flow that they do not tell
 * apart. See struct match_flow. */
struct match_extra {
    __u32 ifindex, length, tags;
    __u16 icmp;
};

/* A product's bit depends only on those bits of its factors that are not above it: so what
 * differs most from flow to flow stands lowest, and the high half is what is used. */
static __always_inline __u64 match_flow_hash(const struct pkt *p, const struct match_extra *e)
{
    const struct ip_addr *s = &p->flow.saddr, *d = &p->flow.daddr;
    __u64 h = ((__u64)s->w[3] << 32 | d->w[3]) ^ match_flow_seed;

    h *= 0x9e3779b97f4a7c15; /* 2^64 by the golden ratio, as in Knuth's 6.4 */
    h ^= h >> 32;
    h ^= (__u64)p->frag << 48 | (__u64)p->l4 << 40 | (__u64)p->flow.proto << 32 |
         (__u64)p->flow.dport << 16 | p->flow.sport;
    h *= 0xbf58476d1ce4e5b9; /* odd, as the next: of SplitMix64 (Steele et al., 2014) */
    if (p->flow.family == 6) {
        h ^= (__u64)s->w[0] << 32 | s->w[1];
        h *= 0x94d049bb133111eb;
        h ^= (h >> 32) ^ ((__u64)s->w[2] << 32 | d->w[2]);
        h *= 0x9e3779b97f4a7c15;
        h ^= (h >> 32) ^ ((__u64)d->w[0] << 32 | d->w[1]);
        h *= 0xbf58476d1ce4e5b9;
    }
    if (e->ifindex | e->length | e->tags | e->icmp) {
        h ^= (h >> 32) ^ ((__u64)e->ifindex << 32 | e->tags);
        h *= 0x94d049bb133111eb;
        h ^= (h >> 32) ^ ((__u64)e->icmp << 32 | e->length);
        h *= 0x9e3779b97f4a7c15;
    }
    return h;
}

/* Two places anywhere, each with its neighbour, which lies in the same pair of cache lines.
 * With half of the lines in use, next to no flow finds all of them taken (Azar et al.,
 * Balanced Allocations, 1994). */
static __always_inline __u32 match_flow_place(__u64 hash, __u32 way)
{
    __u32 line;

    if (way >= MATCH_FLOW_WAYS / 2)
        hash = (hash ^ hash >> 32) * 0x94d049bb133111eb;
    line = (__u32)(hash >> 32) & (match_flow_lines - 1);
    return bpf_get_smp_processor_id() * match_flow_lines + (line ^ (way & 1));
}

static __always_inline bool match_flow6_is(__u32 i, const struct pkt *p)
{
    struct match_flow6 *f = bpf_map_lookup_elem(&chain_match_flows6, &i);
    const struct ip_addr *s = &p->flow.saddr, *d = &p->flow.daddr;

    return f && f->saddr[0] == s->w[0] && f->saddr[1] == s->w[1] && f->saddr[2] == s->w[2] &&
           f->daddr[0] == d->w[0] && f->daddr[1] == d->w[1] && f->daddr[2] == d->w[2];
}

static __always_inline __u8 match_flow_kind(const struct pkt *p)
{
    return MATCH_FLOW_KIND(p->flow.family, p->l4, p->frag);
}

static __always_inline bool match_extra_is(const struct match_flow *f, const struct match_extra *e)
{
    return f->ifindex == e->ifindex && f->length == e->length && f->tags == e->tags &&
           f->icmp == e->icmp;
}

static __always_inline bool match_flow_is(const struct match_flow *f, __u32 i, const struct pkt *p,
                                          const struct match_extra *e)
{
    return f->saddr == p->flow.saddr.w[3] && f->daddr == p->flow.daddr.w[3] &&
           f->sport == p->flow.sport && f->dport == p->flow.dport && f->proto == p->flow.proto &&
           (f->kind & ~MATCH_FLOW_USED) == match_flow_kind(p) && match_extra_is(f, e) &&
           (p->flow.family == 4 || match_flow6_is(i, p));
}

/* Gives the packet's flow line `i`, without answers. */
static __always_inline void match_flow_take(__u32 i, const struct pkt *p,
                                            const struct match_extra *e)
{
    struct match_flow *f = bpf_map_lookup_elem(&chain_match_flows, &i);
    struct match_flow6 *f6 = bpf_map_lookup_elem(&chain_match_flows6, &i);

    if (!f || !f6)
        return;
    for (int k = 0; k < MATCH_ANSWERS; k++)
        f->answer[k].ruleset = 0;
    f->saddr = p->flow.saddr.w[3];
    f->daddr = p->flow.daddr.w[3];
    f->sport = p->flow.sport;
    f->dport = p->flow.dport;
    f->proto = p->flow.proto;
    f->kind = match_flow_kind(p) | MATCH_FLOW_USED;
    f->ifindex = e->ifindex;
    f->length = e->length;
    f->tags = e->tags;
    f->icmp = e->icmp;
    if (p->flow.family == 6) {
        for (int k = 0; k < 3; k++) {
            f6->saddr[k] = p->flow.saddr.w[k];
            f6->daddr[k] = p->flow.daddr.w[k];
        }
    }
}

/* Of taken places, from any on, the first whose flow has sent no packet since it was passed
 * over here: the lines of flows that have ended go first. */
static __always_inline __u32 match_flow_victim(__u64 hash)
{
    __u32 start = bpf_get_prandom_u32();

    for (__u32 k = 0; k < MATCH_FLOW_WAYS; k++) {
        __u32 i = match_flow_place(hash, (start + k) % MATCH_FLOW_WAYS);
        struct match_flow *f = bpf_map_lookup_elem(&chain_match_flows, &i);

        if (f && !(f->kind & MATCH_FLOW_USED))
            return i;
        if (f)
            f->kind &= ~MATCH_FLOW_USED;
    }
    return match_flow_place(hash, start % MATCH_FLOW_WAYS);
}

/* Finds or takes the line of the packet's flow; gives its number and one. A global
 * function: the verifier goes through it once. */
__noinline __u32 match_flow_find(struct pkt *p, struct match_extra *e)
{
    struct match_flow *f;
    __u64 hash;
    __u32 i;

    if (!p)
        return 0;
    if (!e)
        return 0;
    hash = match_flow_hash(p, e);
    for (int way = 0; way < MATCH_FLOW_WAYS; way++) {
        i = match_flow_place(hash, way);
        f = bpf_map_lookup_elem(&chain_match_flows, &i);
        if (f && match_flow_is(f, i, p, e)) {
            if (!(f->kind & MATCH_FLOW_USED))
                f->kind |= MATCH_FLOW_USED;
            return i + 1;
        }
        if (f && !f->kind) { /* nobody's yet, so the flow is in none of its later places */
            match_flow_take(i, p, e);
            return i + 1;
        }
    }
    i = match_flow_victim(hash);
    match_flow_take(i, p, e);
    return i + 1;
}

/* The line of the packet's flow. NULL never is. */
static __always_inline struct match_flow *match_flow_of(struct pkt *p, struct match_extra *e)
{
    __u32 i = p->match - 1;
    struct match_flow *f;

    if (p->match) {
        f = bpf_map_lookup_elem(&chain_match_flows, &i);
        if (f && match_extra_is(f, e))
            return f;
    }
    p->match = match_flow_find(p, e);
    i = p->match - 1;
    return bpf_map_lookup_elem(&chain_match_flows, &i);
}
