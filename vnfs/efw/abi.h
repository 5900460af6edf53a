/* SPDX-License-Identifier: GPL-2.0-or-later */
/* efw: what its fast path and its C++ share. Its ruleset is in the tables of
 * abi/match.h. */
#pragma once
#include "abi/chain.h"

#define EFW_COUNTERS 131073 /* of the rules in force and of those they replace; the default */

/* match_rule.action */
enum efw_action {
    EFW_ACCEPT = 0, /* go on with the chain */
    EFW_DROP = 1,
    EFW_SLOW = 2,   /* give it to netfilter */
    EFW_REJECT = 3, /* drop it, and tell its sender */
    EFW_COUNT = 4,  /* count it, and go on with the next rule */
};

/* match_rule.options. Of a rule with a limit, a token bucket, match_rule.period is how long a
 * token takes to come, in nanoseconds, and number[0] how many the bucket holds. */
enum efw_option {
    EFW_LIMITED = 1 << 0,    /* matches only a packet that finds a token */
    EFW_OVER = 1 << 1,       /* … only one that finds none */
    EFW_PER_SOURCE = 1 << 2, /* each source address has a bucket of its own */
    EFW_OFFLOADED = 1 << 3,  /* a decision of an offload's plan, see offload/plan.hpp */
    EFW_COPIED = 1 << 4,     /* workers get copies: of all if it rejects, of one in number[1] */
};
#define EFW_CONDITIONS_SHIFT 8 /* of the decision's conditions in the options */

/* What the fast path must find out about a packet that an offloaded decision matches; else
 * it goes to netfilter. */
enum efw_condition {
    /* bpf_xdp_ct_lookup() finds no entry for its addresses and ports, in zone 0. */
    EFW_WITHOUT_CONNTRACK = 1 << 0,
    /* Its TCP or UDP checksum is right (or is UDP's absent one): conntrack calls it NEW, not
     * INVALID. */
    EFW_RIGHT_CHECKSUM = 1 << 1,
    /* bpf_fib_lookup() says that the host forwards it, by another interface than it came,
     * and whole. No IPv6 source of it is link-local. */
    EFW_FORWARDED = 1 << 2,
    /* The host has a route to its source (rp_filter 2) or has it by the interface by which
     * the packet came (1). */
    EFW_SOURCE_ROUTED = 1 << 3,
    EFW_SOURCE_ROUTED_BACK = 1 << 4,
};

/* When an offload's plan is good: for rules of this generation of nftables, and until then,
 * which the daemon moves on as long as it sees that nothing has changed. */
struct efw_offload {
    __u64 until; /* of CLOCK_MONOTONIC, in nanoseconds */
    __u32 generation;
    __u32 pad;
};
ABI_VALUE(struct efw_offload, 16);

/* An interface that the plan knows, by its number: frames to its address are offloaded. */
struct efw_link {
    __u8 address[6];
    __u8 pad[2];
};
ABI_VALUE(struct efw_link, 8);
#define EFW_MAX_LINKS 64

#define EFW_MAX_DECISIONS 65536
/* Of two plans: one in force, and one before or after it. */
#define EFW_OFFLOAD_COUNTERS (2 * EFW_MAX_DECISIONS)
#define EFW_DETAIL_OFFLOADED 0x80000000 /* in trace_detail(), with the counter */

/* What the workers are told of a copy: copy_head.note. */
#define EFW_NOTE_COUNTER 0x00ffffff /* of the rule */
#define EFW_NOTE_ACTION_SHIFT 24    /* enum efw_action */
#define EFW_NOTE_ACTION_MASK 0x7f
#define EFW_NOTE_LOG (1U << 31) /* it is one of those to be logged */
#if EFW_COUNTERS > EFW_NOTE_COUNTER
#error a counter must fit into a note
#endif

struct efw_bucket_key {
    struct ip_addr saddr; /* zero if the bucket is for all */
    __u32 counter;        /* the rule's */
};
ABI_KEY(struct efw_bucket_key, 20);

#define EFW_BUCKETS 65536
#define EFW_MAX_STEPS 32 /* rules that a packet meets without an end */

/* X(name in C, value, name for people, what it means) */
/* clang-format off */
#define EFW_REASONS(X) \
    X(EFW_NEXT_DEFAULT, VNF_REASON(VERDICT_NEXT, 0), "default_accept", "no rule matched; the default is accept") \
    X(EFW_NEXT_OFFLOAD, VNF_REASON(VERDICT_NEXT, 1), "offload_accept", "netfilter accepts and forwards it") \
    X(EFW_DROP_OFFLOAD, VNF_REASON(VERDICT_DROP, 4), "offload_drop", "netfilter drops it") \
    X(EFW_SLOW_OFFLOAD, VNF_REASON(VERDICT_SLOW, 3), "offload_left", "only netfilter can decide it") \
    X(EFW_SLOW_STALE, VNF_REASON(VERDICT_SLOW, 4), "offload_stale", "netfilter's rules have changed since they were read") \
    X(EFW_DROP_RULE, VNF_REASON(VERDICT_DROP, 0), "rule_drop", "a rule says drop") \
    X(EFW_DROP_DEFAULT, VNF_REASON(VERDICT_DROP, 1), "default_drop", "no rule matched; the default is drop") \
    X(EFW_DROP_NO_TABLES, VNF_REASON(VERDICT_DROP, 2), "no_tables", "no ruleset is loaded: closed") \
    X(EFW_DROP_REJECT, VNF_REASON(VERDICT_DROP, 3), "rule_reject", "a rule says reject") \
    X(EFW_SLOW_RULE, VNF_REASON(VERDICT_SLOW, 0), "rule_slow", "a rule says slow") \
    X(EFW_SLOW_DEFAULT, VNF_REASON(VERDICT_SLOW, 1), "default_slow", "no rule matched: netfilter decides") \
    X(EFW_SLOW_STEPS, VNF_REASON(VERDICT_SLOW, 2), "too_many_steps", "it met more counting rules than can be followed")
/* clang-format on */

enum efw_reason { EFW_REASONS(CHAIN_REASON_ENUM) };
