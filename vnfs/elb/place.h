/* SPDX-License-Identifier: GPL-2.0-or-later */
/* elb: which backend a new connection gets.
 *
 *   hash of the flow ──> slot ──> backend                         by weight alone
 *   client in elb_clients? ── yes ──> its backend, if that takes part
 *        └ no ──> hash of the client's address ──> slot           affinity = "source"
 *   slot, and a slot of another backend ──> the less busy one     balance = "least_connections"
 *
 * What else than the weights counts, a slot says: a service without options pays for none.
 */
#pragma once
#include "vnfs/elb/active.h"
#include "vnfs/elb/conn.h"
#include "vnfs/elb/slot.h"

/* By ELB_TERMS. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, ELB_MAX_TERMS);
    __type(key, __u32);
    __type(value, struct elb_choice);
} elb_choices SEC(".maps");

/* The backends that get new connections, of services with a choice. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, ELB_MAX_BACKENDS);
    __type(key, __u32);
    __type(value, struct elb_taker);
} elb_takers SEC(".maps");

/* Where clients were of late. What is in it stays until its time, whoever else comes. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC); /* most have no use for it */
    __uint(max_entries, 131072);
    __type(key, struct elb_client_key);
    __type(value, struct elb_client);
    __uint(pinning, LIBBPF_PIN_BY_NAME);
} elb_clients SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, ELB_MAX_BACKENDS);
    __type(key, __u32);
    __type(value, struct elb_backend_choices);
    __uint(pinning, LIBBPF_PIN_BY_NAME);
} elb_backend_choices SEC(".maps");

static __always_inline __u32 client_hash(const struct elb_client_key *c)
{
    __u64 h = c->service;

    h = (h ^ ((__u64)c->addr.w[0] << 32 | c->addr.w[1])) * 0x9e3779b97f4a7c15;
    h ^= h >> 32;
    h = (h ^ ((__u64)c->addr.w[2] << 32 | c->addr.w[3])) * 0xbf58476d1ce4e5b9;
    h ^= h >> 29;
    h *= 0x94d049bb133111eb;
    return h >> 32;
}

/* Whether a backend gets new connections of this service: then it is chosen. */
static __always_inline bool choose_taker(struct elb_scratch *s, __u64 service, __u32 backend)
{
    const struct elb_taker *t = bpf_map_lookup_elem(&elb_takers, &backend);

    if (!t || t->service != service)
        return false;
    s->chosen.addr = t->addr;
    s->chosen.port = t->port;
    s->chosen.backend = backend;
    return true;
}

static __always_inline void choose_slot(struct elb_scratch *s, const struct elb_slot *slot)
{
    s->chosen.addr = slot->addr;
    s->chosen.port = slot->port;
    s->chosen.backend = slot->backend;
}

/* Of two slots the one whose backend has, with one connection more, fewer for its weight.
 * As slots go by weight, so does who is asked. */
static __always_inline void choose_less_busy(struct elb_scratch *s, __u32 service, __u32 hash)
{
    const struct elb_slot *one = slot_at(service, hash), *other = NULL;
    __u64 ones, others;

    if (!one)
        return;
    for (int i = 0; i < ELB_CHOICE_TRIES; i++) {
        hash = hash * 0x9e3779b1 + 0x7f4a7c15;
        other = slot_at(service, hash >> 16);
        if (!other)
            return;
        if (other->backend != one->backend)
            break;
    }
    if (!other)
        return;
    ones = (active_connections(one->backend) + 1) * other->weight;
    others = (active_connections(other->backend) + 1) * one->weight;
    choose_slot(s, others < ones ? other : one);
}

static __always_inline void count_choice(__u32 backend, bool followed)
{
    struct elb_backend_choices *c = bpf_map_lookup_elem(&elb_backend_choices, &backend);

    if (!c)
        return;
    if (followed)
        c->followed++;
    else
        c->not_kept++;
}

/* Where the client was, if that counts yet; else `hash` is the client's. */
static __always_inline bool choose_as_before(struct elb_scratch *s, const struct pkt *p,
                                             const struct elb_choice *choice, __u32 *hash)
{
    struct elb_client *client;
    __u32 now = elb_now();

    s->key = (struct elb_client_key){.service = choice->service, .addr = p->flow.saddr};
    for (int i = 0; i < 4; i++)
        s->key.addr.w[i] &= choice->mask.w[i];
    *hash = client_hash(&s->key);
    client = bpf_map_lookup_elem(&elb_clients, &s->key);
    if (!client || now - client->seen > choice->timeout ||
        !choose_taker(s, choice->service, client->backend))
        return false;
    if (client->seen != now)
        client->seen = now;
    return true;
}

/* For a service with a choice: puts who is to get the connection in `chosen` of the scratch.
 * `how` is the slot's; `known` is the entry that there is for this flow. Gives whether there is
 * anybody. */
__noinline int choose(__u32 service, __u32 how, __u32 hash, struct elb_opening *known)
{
    const struct elb_choice *choice;
    struct elb_scratch *s = scratch_get();
    struct pkt *p = pkt_get();
    struct elb_client client = {};
    struct elb_slot *slot;

    if (!s)
        return 0;
    if (!p)
        return 0;
    choice = bpf_map_lookup_elem(&elb_choices, &s->terms);
    if (!choice)
        return 0;
    if (how & ELB_CHOOSE_SOURCE && choose_as_before(s, p, choice, &hash)) {
        if (!known) /* else it has been */
            count_choice(s->chosen.backend, true);
        return 1;
    }
    slot = slot_at(service, hash);
    if (!slot)
        return 0;
    choose_slot(s, slot);
    /* What is sent again is the same connection, whoever is less busy by now. */
    if (how & ELB_CHOOSE_LEAST &&
        !(known && !known->flags && choose_taker(s, choice->service, known->backend)))
        choose_less_busy(s, service, hash);
    if (!(how & ELB_CHOOSE_SOURCE))
        return 1;
    client.seen = elb_now();
    client.backend = s->chosen.backend;
    if (bpf_map_update_elem(&elb_clients, &s->key, &client, BPF_ANY))
        count_choice(s->chosen.backend, false);
    return 1;
}
