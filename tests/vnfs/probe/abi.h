/* SPDX-License-Identifier: GPL-2.0-or-later */
/* probe: a stage for tests. It records each visit of each packet, and does with it what
 * the packet says: UDP payload  id (4 bytes, network order), then one byte for each stage
 * by its index: enum probe_word. Other packets go on, unrecorded.
 */
#pragma once
#include "abi/chain.h"

#define PROBE_MAX_STAGES 32
#define PROBE_MAX_IDS 65536

enum probe_word {
    PROBE_NEXT = 'n',
    PROBE_SLOW = 's',   /* by the instance's exit */
    PROBE_COPY = 'c',   /* a copy to the worker, and on */
    PROBE_REFUSE = 'r', /* slow, and the worker drops it */
    PROBE_DROP = 'd',
};

struct probe_visit {
    __u32 count;
    __u32 in_tc;   /* of them, at tc */
    __u64 last_ns; /* bpf_ktime_get_ns */
};
ABI_VALUE(struct probe_visit, 16);

/* clang-format off */
#define PROBE_REASONS(X) \
    X(PROBE_NEXT_COPIED, VNF_REASON(VERDICT_NEXT, 0), "copied", "a copy went to the worker") \
    X(PROBE_DROP_ASKED, VNF_REASON(VERDICT_DROP, 0), "asked", "the packet asked for it") \
    X(PROBE_SLOW_ASKED, VNF_REASON(VERDICT_SLOW, 0), "asked", "the packet asked for it")
/* clang-format on */

enum probe_reason { PROBE_REASONS(CHAIN_REASON_ENUM) };
