/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tables of lines: what a stage has of the flows met of late, one cache line for each, ahead of
 * a table that costs more to look into. An array whose values are 64 bytes, with a power of two
 * of lines, each CPU having its own or all the same ones.
 *
 * With many flows a line is not in the cache. A stage that names its table (Descriptor::lines)
 * has it read by the root, which does not wait for it: what all stages need of memory comes at
 * the same time, not one after the other.
 */
#pragma once
#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "abi/pkt_hash.h"

/* Computed once for all stages, unless one rewrites the flow: see pkt_rewritten(). */
static __always_inline __u64 pkt_hash(struct pkt *p)
{
    if (!p->hash)
        p->hash = pkt_hash_of(p);
    return p->hash;
}

/* Where the flow's line is, of `lines` or of `lines` for each CPU. */
static __always_inline __u32 line_place(__u64 hash, __u32 lines, bool each_cpu)
{
    __u32 line = (hash >> 32) * lines >> 32;

    return each_cpu ? bpf_get_smp_processor_id() * lines + line : line;
}
