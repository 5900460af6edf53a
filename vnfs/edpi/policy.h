/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What becomes of the packets of a flow that has a policy. */
#pragma once
#include <linux/if_ether.h>
#include <linux/ip.h>

#include "lib/bucket.h"
#include "lib/csum.h"
#include "lib/stage.h"
#include "vnfs/edpi/abi.h"

/* By number. User space writes an entry before any flow has its number. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, EDPI_POLICY_NUMBERS);
    __type(key, __u32);
    __type(value, struct edpi_policy);
    __uint(pinning, LIBBPF_PIN_BY_NAME);
} edpi_policies SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, EDPI_POLICY_NUMBERS *EDPI_POLICY_COUNTS);
    __type(key, __u32);
    __type(value, struct counter);
    __uint(pinning, LIBBPF_PIN_BY_NAME);
} edpi_policy_counters SEC(".maps");

/* What workers have dropped, by number: user space's alone. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, EDPI_POLICY_NUMBERS);
    __type(key, __u32);
    __type(value, struct counter);
    __uint(pinning, LIBBPF_PIN_BY_NAME);
} edpi_policy_held SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, EDPI_POLICY_NUMBERS);
    __type(key, __u32);
    __type(value, __u64);
} edpi_buckets SEC(".maps");

static __always_inline void policy_mark(struct frame_ctx *ctx, struct pkt *p, __u8 dscp)
{
    __u8 tos = dscp << 2 | (p->tos & 3); /* the rest is ECN's (RFC 3168) */
    __be16 *words = frame_at(ctx, p->l3_off, sizeof(struct iphdr));
    struct iphdr *ip = (void *)words;

    if (!words || tos == p->tos)
        return;
    if (p->flow.family == 4) {
        ip->check = csum_update(ip->check, csum_delta16(bpf_htons(ip->tos), bpf_htons(tos)));
        ip->tos = tos;
    } else { /* version, traffic class, the flow label's begin; no checksum has them in it */
        *words = (*words & bpf_htons(0xf00f)) | bpf_htons((__u16)tos << 4);
    }
    p->tos = tos;
    pkt_rewritten(p);
}

static __always_inline bool policy_allows(const struct edpi_policy *policy, __u32 number,
                                          __u32 bytes)
{
    __u64 *bucket = bpf_map_lookup_elem(&edpi_buckets, &number);

    return bucket && bucket_take(bucket, bpf_ktime_get_ns(),
                                 bytes * policy->cost >> EDPI_COST_SHIFT, policy->depth);
}

/* The reason for which the packet leaves; NEXT if the policy has nothing against its way. */
static __always_inline __u32 policy_act(struct frame_ctx *ctx, struct pkt *p, __u32 number)
{
    const struct edpi_policy *policy = bpf_map_lookup_elem(&edpi_policies, &number);

    if (!policy)
        return NEXT;
    count(&edpi_policy_counters, number * EDPI_POLICY_COUNTS + EDPI_POLICY_MET, p->len);
    trace_detail(p, (__u32)policy->mark);
    switch (policy->action) {
    case EDPI_DROP:
        return EDPI_DROP_POLICY;
    case EDPI_LIMIT:
        if (policy_allows(policy, number, p->len))
            return NEXT;
        count(&edpi_policy_counters, number * EDPI_POLICY_COUNTS + EDPI_POLICY_DROPPED, p->len);
        return EDPI_DROP_LIMIT;
    case EDPI_MARK:
        policy_mark(ctx, p, (__u8)policy->value);
        return NEXT;
    case EDPI_SEND:
        return EDPI_NEXT_WAY1 + (policy->value & (EDPI_WAYS - 1));
    }
    return NEXT;
}
