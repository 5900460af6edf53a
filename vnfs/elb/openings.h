/* SPDX-License-Identifier: GPL-2.0-or-later */
/* elb: the table of connections that are opening.
 *
 * An array of sets, each of some ways and with a lock: a new connection writes three lines of
 * cache that lie together, and the oldest of its set makes room. The kernel's own table that
 * forgets the oldest (LRU hash) takes three times as long for that.
 *
 *   flow_hash() ──> set ──> the way with its tag and key, or a free one, or the hand's
 *
 * The hand goes round the ways and spares once those that were found since it last came by.
 */
#pragma once
#include "lib/addr.h"
#include "lib/stage.h"
#include "vnfs/elb/abi.h"
#include "vnfs/elb/flow_hash.h"

/* Set before loading, as the size of the map is: a power of two. */
const volatile __u32 elb_opening_sets = 1;

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct elb_opening_set);
    __uint(pinning, LIBBPF_PIN_BY_NAME);
} elb_openings SEC(".maps");

static __always_inline bool same_flow(const struct flow_key *a, const struct flow_key *b)
{
    return same_addr(&a->saddr, &b->saddr) && same_addr(&a->daddr, &b->daddr) &&
           a->sport == b->sport && a->dport == b->dport && a->proto == b->proto;
}

static __always_inline struct elb_opening_set *opening_set(__u32 hash)
{
    __u32 set = opening_set_of(hash, elb_opening_sets);

    return bpf_map_lookup_elem(&elb_openings, &set);
}

static __always_inline int opening_place(__u32 hash, __u32 way)
{
    return opening_set_of(hash, elb_opening_sets) * ELB_OPENING_PLACES + way + 1;
}

/* The way of a flow in its set, which is locked, or ELB_OPENING_WAYS. */
static __always_inline __u32 opening_way(struct elb_opening_set *set, const struct flow_key *key,
                                         __u32 hash)
{
    for (__u32 way = 0; way < ELB_OPENING_WAYS; way++)
        if (set->tags[way] == opening_tag_of(hash) && same_flow(&set->entries[way].key, key)) {
            set->found |= 1U << way;
            return way;
        }
    return ELB_OPENING_WAYS;
}

/* A way for a flow that has none in its set, which is locked. */
static __always_inline __u32 opening_room(struct elb_opening_set *set)
{
    __u32 way;

    for (way = 0; way < ELB_OPENING_WAYS; way++)
        if (!set->tags[way])
            return way;
    for (int i = 0; i < ELB_OPENING_WAYS; i++) {
        way = set->hand;
        if (way >= ELB_OPENING_WAYS)
            way = 0;
        set->hand = way + 1;
        if (!(set->found & 1U << way))
            break;
        set->found &= ~(1U << way);
    }
    return way;
}

/* Whether a flow may be in its set, without the lock: most packets are of none that opens. */
static __always_inline bool opening_may_be(const struct elb_opening_set *set, __u32 hash)
{
    for (__u32 way = 0; way < ELB_OPENING_WAYS; way++)
        if (*(const volatile __u32 *)&set->tags[way] == opening_tag_of(hash))
            return true;
    return false;
}

/* Where a flow is, for opening_at(), or zero. */
__noinline int opening_find(struct flow_key *key, __u32 hash)
{
    struct elb_opening_set *set = opening_set(hash);
    __u32 way;

    if (!key || !set)
        return 0;
    if (!opening_may_be(set, hash))
        return 0;
    bpf_spin_lock(&set->lock);
    way = opening_way(set, key, hash);
    bpf_spin_unlock(&set->lock);
    return way < ELB_OPENING_WAYS ? opening_place(hash, way) : 0;
}

/* Another flow may have the place by now, as an entry of any table that forgets the oldest. */
static __always_inline struct elb_opening *opening_at(int place)
{
    __u32 at = (__u32)place - 1, set = at / ELB_OPENING_PLACES, way = at % ELB_OPENING_PLACES;
    struct elb_opening_set *s;

    if (place <= 0 || way >= ELB_OPENING_WAYS)
        return NULL;
    s = bpf_map_lookup_elem(&elb_openings, &set);
    return s ? &s->entries[way].opening : NULL;
}

static __always_inline struct elb_opening *opening_lookup(struct flow_key *key)
{
    return opening_at(opening_find(key, flow_hash(key)));
}

/* Enters a flow: zero; with `unless_known`, where it is if it has an entry, which stays. */
__noinline int opening_enter(struct flow_key *key, struct elb_opening *opening, __u32 hash,
                             bool unless_known)
{
    struct elb_opening_set *set = opening_set(hash);
    bool known;
    __u32 way;

    if (!key || !set)
        return 0;
    if (!opening)
        return 0;
    bpf_spin_lock(&set->lock);
    way = opening_way(set, key, hash);
    known = way < ELB_OPENING_WAYS;
    if (!known)
        way = opening_room(set);
    barrier_var(way); /* what is tested is what is used */
    if (way < ELB_OPENING_WAYS && !(known && unless_known)) {
        set->tags[way] = opening_tag_of(hash);
        set->entries[way].key = *key;
        set->entries[way].opening = *opening;
    }
    bpf_spin_unlock(&set->lock);
    return known && unless_known ? opening_place(hash, way) : 0;
}

__noinline int opening_forget(struct flow_key *key)
{
    struct elb_opening_set *set;
    __u32 hash, way;

    if (!key)
        return 0;
    hash = flow_hash(key);
    set = opening_set(hash);
    if (!set)
        return 0;
    bpf_spin_lock(&set->lock);
    way = opening_way(set, key, hash);
    if (way < ELB_OPENING_WAYS) {
        set->tags[way] = 0;
        set->found &= ~(1U << way);
    }
    bpf_spin_unlock(&set->lock);
    return 0;
}
