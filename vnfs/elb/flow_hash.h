/* SPDX-License-Identifier: GPL-2.0-or-later */
/* elb: the hash of a flow, and what is found by it. For BPF and C++. */
#pragma once
#include "vnfs/elb/abi.h"

static inline __u32 flow_hash(const struct flow_key *f)
{
    __u64 h = 0x2545f4914f6cdd1d; /* fixed: a restart must not place anew */
    const __u32 *w = (const __u32 *)(const void *)f;

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

/* Where an opening connection is in elb_openings: its set, of a power of two, and its tag
 * there, which is not zero. */
static inline __u32 opening_set_of(__u32 hash, __u32 sets)
{
    return hash >> 8 & (sets - 1);
}

static inline __u32 opening_tag_of(__u32 hash)
{
    return hash | 1;
}
