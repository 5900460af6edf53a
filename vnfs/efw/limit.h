/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A rule's limit: token buckets of packets. */
#pragma once
#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "abi/match.h"
#include "abi/pkt.h"
#include "lib/bucket.h"
#include "vnfs/efw/abi.h"

/* When a bucket will be full, in nanoseconds since boot. The least recently used goes when
 * there is no room, and so is full when it comes back. */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, EFW_BUCKETS);
    __type(key, struct efw_bucket_key);
    __type(value, __u64);
} efw_buckets SEC(".maps");

/* Whether there is a token, which then is gone. Without memory for a bucket there is none. */
static __always_inline bool limit_take(const struct efw_bucket_key *key,
                                       const struct match_rule *rule)
{
    __u64 now = bpf_ktime_get_ns(), depth = rule->number[0] * rule->period;
    __u64 *bucket = bpf_map_lookup_elem(&efw_buckets, key);

    if (!bucket) {
        __u64 first = now;

        bpf_map_update_elem(&efw_buckets, key, &first, BPF_NOEXIST);
        bucket = bpf_map_lookup_elem(&efw_buckets, key);
        if (!bucket)
            return false;
    }
    return bucket_take(bucket, now, rule->period, depth);
}

/* Whether the rule, as far as its limit goes, matches the packet. */
static __always_inline bool limit_allows(const struct pkt *p, const struct match_rule *rule)
{
    struct efw_bucket_key key = {.counter = rule->counter};

    if (!(rule->options & EFW_LIMITED))
        return true;
    if (rule->options & EFW_PER_SOURCE)
        key.saddr = p->flow.saddr;
    return limit_take(&key, rule) != !!(rule->options & EFW_OVER);
}
