/* SPDX-License-Identifier: GPL-2.0-or-later */
/* elb: which backend a new connection goes to, by the hash of its flow. */
#pragma once
#include "lib/stage.h"
#include "vnfs/elb/abi.h"

/* The daemon fills them as memory, before they are put in their places. */
struct elb_slot_table {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, ELB_SLOTS);
    __uint(key_size, sizeof(__u32)); /* clang 14 gives inner maps no full type */
    __uint(value_size, sizeof(struct elb_slot));
};

struct elb_many_slots_table {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, ELB_MANY_SLOTS);
    __uint(key_size, sizeof(__u32));
    __uint(value_size, sizeof(struct elb_slot));
};

/* By elb_service.index; none where the service has no backend, or more slots. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
    __uint(max_entries, ELB_MAX_SERVICES);
    __type(key, __u32);
    __array(values, struct elb_slot_table);
} elb_slots SEC(".maps");

/* Of services with more than ELB_FEW_BACKENDS. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
    __uint(max_entries, ELB_MAX_SERVICES);
    __type(key, __u32);
    __array(values, struct elb_many_slots_table);
} elb_many_slots SEC(".maps");

static __always_inline struct elb_slot *slot_at(__u32 service, __u32 hash)
{
    void *slots = bpf_map_lookup_elem(&elb_slots, &service);
    __u32 at = hash & (ELB_SLOTS - 1);

    if (slots)
        return bpf_map_lookup_elem(slots, &at);
    slots = bpf_map_lookup_elem(&elb_many_slots, &service);
    if (!slots)
        return NULL;
    at = hash & (ELB_MANY_SLOTS - 1);
    return bpf_map_lookup_elem(slots, &at);
}

static __always_inline __u32 flow_hash(const struct flow_key *f)
{
    __u64 h = 0x2545f4914f6cdd1d; /* fixed: a restart must not place anew */
    const __u32 *w = (const __u32 *)f;

    for (int i = 0; i < (int)(sizeof(*f) / 4); i += 2) {
        h ^= (__u64)w[i] << 32 | w[i + 1];
        h *= 0x9e3779b97f4a7c15;
        h ^= h >> 32;
    }
    /* Once more: the ports came last, and a slot is the lowest bits. Else connections from
     * ports in a row, as clients open them, would share a few slots. */
    h *= 0xbf58476d1ce4e5b9;
    h ^= h >> 32;
    return (__u32)h;
}
