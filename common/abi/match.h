/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rules that match packets, compiled: what bpf/lib/match.h reads and common/match/
 * writes.
 *
 * A ruleset is one value of `struct match_tables`. Rules are in order of evaluation;
 * rule i is bit i of every vector. Each field of a packet (source, destination,
 * protocol, ports) is looked up in its own table, which gives the vector of the rules
 * that this field does not exclude. The lowest bit set in all of them is the rule that
 * matches (Lakshman and Stiliadis, SIGCOMM 1998). Values of a field that no rule tells
 * apart share a class.
 */
#pragma once
#include "abi/types.h"

#define MATCH_MAX_RULES 1000
#define MATCH_WORDS 16       /* 64 rules each */
#define MATCH_INTERVALS 2048 /* a power of two above 2 * MATCH_MAX_RULES + 1 */
#define MATCH_PORTS 65536
#define MATCH_NO_PORT 0 /* the class of a packet without ports */

struct match_bits {
    __u64 word[MATCH_WORDS];
};

/* A 128-bit address as a number, host order, so that it can be compared. */
struct match_bound {
    __u64 high;
    __u64 low;
};

/* Addresses: sorted intervals, each from its own start to before the next. Entries
 * past the last interval repeat it. IPv4 lies at ::ffff:0:0/96. */
struct match_addr_table {
    __u32 intervals; /* how many of `start`, rounded up to a power of two */
    __u32 pad;
    struct match_bound start[MATCH_INTERVALS];
    __u16 class_of[MATCH_INTERVALS];
    struct match_bits bits[MATCH_INTERVALS]; /* by class */
};

struct match_port_table {
    __u16 class_of[MATCH_PORTS];             /* by port, host order */
    struct match_bits bits[MATCH_INTERVALS]; /* by class; MATCH_NO_PORT is the first */
};

enum match_rule_flag {
    MATCH_RULE_PORTS = 1 << 0, /* asks for a port */
    MATCH_RULE_PROTO = 1 << 1, /* asks for a protocol */
};

struct match_rule {
    __u8 action;   /* a number whose meaning is the VNF's */
    __u8 flags;    /* enum match_rule_flag */
    __u16 counter; /* a number for the VNF to count by */
};

struct match_tables {
    __u32 rules; /* without the default, which is rule[rules] */
    __u32 words; /* of each vector in use */
    struct match_addr_table src, dst;
    struct match_port_table sport, dport;
    struct match_bits proto4[256], proto6[256]; /* by protocol, for each family */
    struct match_bits any_proto4, any_proto6;   /* whatever the protocol */
    struct match_bits no_proto4, no_proto6;     /* only of the rules that ask for none */
    struct match_rule rule[MATCH_MAX_RULES + 1];
};
/* An array map's value must stay below 4 MiB on Linux 6.1 (KMALLOC_MAX_SIZE). */
ABI_VALUE(struct match_tables, 1454528);
