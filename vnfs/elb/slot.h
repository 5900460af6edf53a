/* SPDX-License-Identifier: GPL-2.0-or-later */
/* elb: which backend a new connection goes to, by the hash of its flow. */
#pragma once
#include "lib/stage.h"
#include "vnfs/elb/abi.h"
#include "vnfs/elb/flow_hash.h"

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
