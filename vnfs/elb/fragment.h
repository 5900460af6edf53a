/* SPDX-License-Identifier: GPL-2.0-or-later */
/* elb: fragments. The first has the ports: it is treated as the whole datagram would be, and
 * what became of it is noted for the others, by what they have in common (RFC 791, RFC 8200
 * section 4.5).
 *
 *   first ──> as a whole packet ──> rewritten, in a tunnel, or not ──> elb_fragments
 *   later ──> elb_fragments ──> the same, or dropped if nothing is known
 *
 * A later one that comes before its first, or whose note has made room for others, is dropped:
 * its datagram is lost either way, since the kernel reassembles only what it gets all of, and
 * would keep this piece until its time is over.
 *
 * A note only says what elb itself has decided, so whoever forges a fragment sends the others
 * of its id at worst to another backend, where they are no datagram.
 */
#pragma once
#include "vnfs/elb/rewrite.h"
#include "vnfs/elb/services.h"

#define ELB_FRAGMENT_TIME 30 /* seconds that a note counts: the kernel's ipfrag_time */

/* The oldest make room for new ones. */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, ELB_MAX_FRAGMENTS);
    __type(key, struct elb_fragment_key);
    __type(value, struct elb_fragment);
    __uint(pinning, LIBBPF_PIN_BY_NAME);
} elb_fragments SEC(".maps");

/* Of a first fragment, between its beginning and its end. */
struct elb_fragment_scratch {
    struct elb_fragment_key key; /* as it came */
    struct elb_fragment note;
};

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct elb_fragment_scratch);
} elb_fragment_scratch SEC(".maps");

static __always_inline struct elb_fragment_scratch *fragment_scratch(void)
{
    __u32 zero = 0;

    return bpf_map_lookup_elem(&elb_fragment_scratch, &zero);
}

static __always_inline bool fragment_key(struct frame_ctx *ctx, const struct pkt *p,
                                         struct elb_fragment_key *key)
{
    key->saddr = p->flow.saddr;
    key->daddr = p->flow.daddr;
    key->family = p->flow.family;
    if (p->flow.family == 4) {
        struct iphdr *ip = frame_at(ctx, p->l3_off, sizeof(*ip));

        if (!ip)
            return false;
        key->id = ip->id;
        key->proto = p->flow.proto;
    } else {
        /* The end of the fragment header: the parser knows layer 4 only right after it. */
        __be32 *id = frame_at(ctx, p->l4_off - sizeof(*id), sizeof(*id));

        if (!id)
            return false;
        key->id = *id;
        key->proto = 0; /* is not part of it */
    }
    return true;
}

/* Does with a later fragment what was done with the first. */
static __always_inline __u32 fragment_goes(struct frame_ctx *ctx, struct pkt *p,
                                           const struct elb_fragment *note)
{
    struct elb_scratch *s = scratch_get();
    bool to_backend = note->reason == ELB_NEXT_BACKEND;
    struct elb_target *t;
    __u64 delta;

    if (!s)
        return SLOW_FRAGMENT;
    if (!to_backend && note->reason != ELB_NEXT_CLIENT)
        return note->reason & (CHAIN_MAX_REASONS - 1);
    t = &s->target;
    t->addr = to_backend ? note->daddr : note->saddr;
    s->far.addr = to_backend ? note->saddr : note->daddr;
    t->backend = note->backend;
    t->rewrite = to_backend ? ELB_TO_BACKEND : ELB_TO_CLIENT;
    t->forward = note->forward;
    if (ELB_ONE_WAY(t->forward))
        return ELB_FORWARD;
    delta = csum_delta_addr(&p->flow.saddr, &note->saddr) +
            csum_delta_addr(&p->flow.daddr, &note->daddr);
    if (!write_addr(ctx, p, t, &s->far, delta))
        return SLOW_FRAGMENT;
    p->flow.saddr = note->saddr;
    p->flow.daddr = note->daddr;
    pkt_rewritten(p);
    count_backend(p, t);
    return to_backend ? ELB_NEXT_BACKEND : ELB_NEXT_CLIENT;
}

/* A fragment of what may have ports: gives ELB_AS_WHOLE for a first one, or ELB_FORWARD. */
static __always_inline __u32 fragment(struct frame_ctx *ctx, struct pkt *p)
{
    struct elb_fragment_scratch *s = fragment_scratch();
    const struct elb_fragment *note;

    if (!s || !fragment_key(ctx, p, &s->key))
        return SLOW_FRAGMENT;
    if (p->frag == PKT_FRAG_FIRST && p->l4 == PKT_L4_PORTS)
        return ELB_AS_WHOLE;
    if (p->frag == PKT_FRAG_LATER) {
        note = bpf_map_lookup_elem(&elb_fragments, &s->key);
        if (note && elb_now() - note->seen <= ELB_FRAGMENT_TIME)
            return fragment_goes(ctx, p, note);
    } else {
        /* Cut within its header (RFC 1858, RFC 7112), and so are all that follow. */
        bpf_map_delete_elem(&elb_fragments, &s->key);
    }
    return of_known_host(p) ? ELB_DROP_FRAGMENT : NEXT;
}

/* Notes what has become of a first fragment. A global function, as conn_is_over(). */
__noinline int fragment_note(__u32 reason, __u32 backend, __u32 forward)
{
    struct elb_fragment_scratch *s = fragment_scratch();
    struct pkt *p = pkt_get();

    if (!s)
        return 0;
    if (!p)
        return 0;
    if (reason == NEXT && !of_known_host(p)) { /* so are the others, if nothing is noted */
        bpf_map_delete_elem(&elb_fragments, &s->key);
        return 0;
    }
    s->note.saddr = p->flow.saddr;
    s->note.daddr = forward == ELB_DIRECT && reason == ELB_NEXT_BACKEND ? p->via : p->flow.daddr;
    s->note.seen = elb_now();
    s->note.backend = backend;
    /* Too big for its way, it has become the answer to its sender: the others are lost. */
    s->note.reason = ELB_ONE_WAY(forward) && reason == ELB_NEXT_CLIENT ? ELB_DROP_TOO_BIG : reason;
    s->note.forward = forward;
    bpf_map_update_elem(&elb_fragments, &s->key, &s->note, BPF_ANY);
    return 0;
}
