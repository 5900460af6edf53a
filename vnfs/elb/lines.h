/* SPDX-License-Identifier: GPL-2.0-or-later */
/* elb: what this CPU has lately found in elb_conns, in one cache line for each flow.
 *
 * A lookup there costs a hash of forty bytes and three cache lines. A line is believed until
 * elb_epoch goes on: the daemon turns it on with each of its ticks, about twice a second, and
 * at once when it removes connections; so does this program when a connection makes room for
 * another of the same ports. So each connection is still looked up twice a second, which is
 * when its entry learns that it is alive. What opens or ends one is always looked up.
 */
#pragma once
#include "lib/addr.h"
#include "lib/lines.h"
#include "vnfs/elb/rewrite.h"

#define ELB_LINE_WAYS 4

/* Set before loading, as the size of the map is: lines for each CPU, a power of two. */
const volatile __u32 elb_lines_each = ELB_LINE_WAYS;

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE); /* begins on a page, so no line lies in two */
    __uint(max_entries, ELB_LINE_WAYS);
    __type(key, __u32);
    __type(value, struct elb_line);
} elb_lines SEC(".maps");

static __always_inline __u32 elb_epoch_now(void)
{
    __u32 zero = 0, *epoch = bpf_map_lookup_elem(&elb_epoch, &zero);

    return epoch ? *(volatile __u32 *)epoch : 0;
}

/* Two places anywhere, each with its neighbour, as in lib/match_flow.h. */
static __always_inline __u32 elb_line_place(__u64 hash, __u32 way)
{
    if (way >= ELB_LINE_WAYS / 2)
        hash = (hash ^ hash >> 32) * 0x94d049bb133111eb;
    return line_place(hash, elb_lines_each, true) ^ (way & 1);
}

/* Whether a packet with these signs (signs_of()) may go by a line: of what opens and ends
 * connections the table must know. */
static __always_inline bool elb_line_allowed(__u8 signs)
{
    return !(signs & (TCP_SYN | TCP_FIN | TCP_RST));
}

static __always_inline bool elb_line_is(const struct elb_line *l, const struct flow_key *f)
{
    return l->sport == f->sport && l->dport == f->dport && l->proto == f->proto &&
           l->family == f->family && same_addr(&l->saddr, &f->saddr) &&
           same_addr(&l->daddr, &f->daddr);
}

/* What is known of the packet's connection in this epoch, or NULL. */
static __always_inline struct elb_line *elb_line_find(struct pkt *p, __u8 signs, __u32 epoch)
{
    struct elb_line *l;
    __u64 hash;

    if (!epoch || !elb_line_allowed(signs))
        return NULL;
    hash = pkt_hash(p);
    for (__u32 way = 0; way < ELB_LINE_WAYS; way++) {
        __u32 i = elb_line_place(hash, way);

        l = bpf_map_lookup_elem(&elb_lines, &i);
        if (!l)
            return NULL;
        if (l->epoch != epoch) /* free, so the flow is in none of its later places */
            return NULL;
        if (elb_line_is(l, &p->flow))
            return l;
    }
    return NULL;
}

/* Remembers what was found, `epoch` having been read before: in the first place that is free
 * in this epoch, or in any. */
static __always_inline void elb_line_keep(struct pkt *p, __u8 signs, const struct elb_target *t,
                                          __u32 epoch)
{
    __u32 taken = bpf_get_prandom_u32() % ELB_LINE_WAYS, i;
    struct elb_line *l;
    __u64 hash;

    if (!elb_line_allowed(signs))
        return;
    hash = pkt_hash(p);
    i = elb_line_place(hash, taken);
    for (__u32 way = 0; way < ELB_LINE_WAYS; way++) {
        __u32 k = elb_line_place(hash, way);

        l = bpf_map_lookup_elem(&elb_lines, &k);
        if (l && l->epoch != epoch) {
            i = k;
            break;
        }
    }
    l = bpf_map_lookup_elem(&elb_lines, &i);
    if (!l)
        return;
    l->epoch = 0;
    l->saddr = p->flow.saddr;
    l->daddr = p->flow.daddr;
    l->sport = p->flow.sport;
    l->dport = p->flow.dport;
    l->proto = p->flow.proto;
    l->family = p->flow.family;
    l->addr = t->addr;
    l->port = t->port;
    l->backend = t->backend;
    l->rewrite = t->rewrite;
    l->epoch = epoch;
}
