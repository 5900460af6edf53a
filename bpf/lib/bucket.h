/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A token bucket, kept as the time at which it will be full again (the generic cell rate
 * algorithm, ITU-T I.371 annex A). */
#pragma once
#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

/* How often another CPU may be faster before it counts as no token. */
#define BUCKET_TRIES 8

/* Whether there are tokens for `cost`, which then are gone. All in nanoseconds: what is taken
 * comes again in `cost`, an empty bucket is full after `depth`. */
static __always_inline bool bucket_take(__u64 *bucket, __u64 now, __u64 cost, __u64 depth)
{
    for (int i = 0; i < BUCKET_TRIES; i++) {
        __u64 was = *(volatile __u64 *)bucket;
        __u64 full = (was > now ? was : now) + cost;

        if (full - now > depth)
            return false;
        if (__sync_val_compare_and_swap(bucket, was, full) == was)
            return true;
    }
    return false;
}
