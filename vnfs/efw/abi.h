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
};

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
    X(EFW_DROP_RULE, VNF_REASON(VERDICT_DROP, 0), "rule_drop", "a rule says drop") \
    X(EFW_DROP_DEFAULT, VNF_REASON(VERDICT_DROP, 1), "default_drop", "no rule matched; the default is drop") \
    X(EFW_DROP_NO_TABLES, VNF_REASON(VERDICT_DROP, 2), "no_tables", "no ruleset is loaded: closed") \
    X(EFW_DROP_REJECT, VNF_REASON(VERDICT_DROP, 3), "rule_reject", "a rule says reject") \
    X(EFW_SLOW_RULE, VNF_REASON(VERDICT_SLOW, 0), "rule_slow", "a rule says slow") \
    X(EFW_SLOW_DEFAULT, VNF_REASON(VERDICT_SLOW, 1), "default_slow", "no rule matched: netfilter decides") \
    X(EFW_SLOW_STEPS, VNF_REASON(VERDICT_SLOW, 2), "too_many_steps", "it met more counting rules than can be followed")
/* clang-format on */

enum efw_reason { EFW_REASONS(CHAIN_REASON_ENUM) };
