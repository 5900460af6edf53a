/* SPDX-License-Identifier: GPL-2.0-or-later */
/* efw: what its fast path and its C++ share.
 *
 * The ruleset is compiled, in user space, to one value of `struct efw_tables`.
 * Rules are sorted by priority; rule i is bit i of every vector. Each field of a
 * packet (source, destination, protocol, ports) is looked up in its own table,
 * which gives the vector of the rules that this field does not exclude. The
 * lowest bit set in all of them is the rule that matches (Lakshman and Stiliadis,
 * SIGCOMM 1998). Values of a field that no rule tells apart share a class.
 */
#pragma once
#include "abi/chain.h"

#define EFW_MAX_RULES 1000
#define EFW_WORDS 16       /* 64 rules each */
#define EFW_INTERVALS 2048 /* a power of two above 2 * EFW_MAX_RULES + 1 */
#define EFW_PORTS 65536
#define EFW_COUNTERS 2048 /* of the rules in force and of those they replace */
#define EFW_NO_PORT 0     /* the class of a packet without ports */

struct efw_bits {
    __u64 word[EFW_WORDS];
};

/* A 128-bit address as a number, host order, so that it can be compared. */
struct efw_bound {
    __u64 high;
    __u64 low;
};

/* Addresses: sorted intervals, each from its own start to before the next. Entries
 * past the last interval repeat it. IPv4 lies at ::ffff:0:0/96. */
struct efw_addr_table {
    __u32 intervals; /* how many of `start`, rounded up to a power of two */
    __u32 pad;
    struct efw_bound start[EFW_INTERVALS];
    __u16 class_of[EFW_INTERVALS];
    struct efw_bits bits[EFW_INTERVALS]; /* by class */
};

struct efw_port_table {
    __u16 class_of[EFW_PORTS];           /* by port, host order */
    struct efw_bits bits[EFW_INTERVALS]; /* by class; EFW_NO_PORT is the first */
};

enum efw_action {
    EFW_ACCEPT = 0, /* go on with the chain */
    EFW_DROP = 1,
    EFW_SLOW = 2, /* give it to netfilter */
};

enum efw_rule_flag {
    EFW_RULE_PORTS = 1 << 0, /* asks for a port */
    EFW_RULE_PROTO = 1 << 1, /* asks for a protocol */
};

struct efw_rule {
    __u8 action;   /* enum efw_action */
    __u8 flags;    /* enum efw_rule_flag */
    __u16 counter; /* index into efw_counters */
};

struct efw_tables {
    __u32 rules; /* without the default, which is rule[rules] */
    __u32 words; /* of each vector in use */
    struct efw_addr_table src, dst;
    struct efw_port_table sport, dport;
    struct efw_bits proto4[256], proto6[256]; /* by protocol, for each family */
    struct efw_bits any_proto4, any_proto6;   /* whatever the protocol */
    struct efw_rule rule[EFW_MAX_RULES + 1];
};
/* An array map's value must stay below 4 MiB on Linux 6.1 (KMALLOC_MAX_SIZE). */
ABI_VALUE(struct efw_tables, 1454272);

/* X(name in C, value, name for people, what it means) */
/* clang-format off */
#define EFW_REASONS(X) \
    X(EFW_NEXT_DEFAULT, VNF_REASON(VERDICT_NEXT, 0), "default_accept", "no rule matched; the default is accept") \
    X(EFW_DROP_RULE, VNF_REASON(VERDICT_DROP, 0), "rule_drop", "a rule says drop") \
    X(EFW_DROP_DEFAULT, VNF_REASON(VERDICT_DROP, 1), "default_drop", "no rule matched; the default is drop") \
    X(EFW_DROP_NO_TABLES, VNF_REASON(VERDICT_DROP, 2), "no_tables", "no ruleset is loaded: closed") \
    X(EFW_SLOW_RULE, VNF_REASON(VERDICT_SLOW, 0), "rule_slow", "a rule says slow") \
    X(EFW_SLOW_DEFAULT, VNF_REASON(VERDICT_SLOW, 1), "default_slow", "no rule matched: netfilter decides")
/* clang-format on */

enum efw_reason { EFW_REASONS(CHAIN_REASON_ENUM) };
