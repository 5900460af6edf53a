/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rules that match packets, compiled: what bpf/lib/match.h reads and common/match/
 * writes.
 *
 * Rules are in order of evaluation; rule i is bit i of every vector. Each field of a
 * packet is looked up in a table of its own, which gives the vector of the rules that this
 * value does not exclude. The lowest bit set in all of them is the rule that matches
 * (Lakshman and Stiliadis, SIGCOMM 1998). A vector begins with a summary, a bit for each
 * of its words that is not zero, so that only words which may have an answer are read
 * (Baboescu and Varghese, SIGCOMM 2001). Vectors are stored once for each content, and
 * so are their blocks of eight words: one rule more costs little memory.
 *
 * All of it lies in cells of one cache line each, in an array. Numbers of cells are
 * counted from the first of the ruleset, modulo 2^32, but for cell 0 of the array, which
 * says where the layout in force is: one write of it replaces all rules.
 *
 * A change of few rules leaves the ruleset as it is: the layout in force is then another
 * one of the same tables, with a vector of the rules that are not removed, and beside it a
 * small ruleset of those that are added, each with its place among the others.
 */
#pragma once
#include "abi/types.h"

#define MATCH_MAX_RULES 65528  /* their numbers, the default's and no rule's fit in 16 bits */
#define MATCH_MAX_SETS 16      /* uses of named sets in one ruleset */
#define MATCH_MAX_LEVELS 9     /* of the search for an interval */
#define MATCH_BLOCK_WORDS 8    /* of a vector, which is one cell */
#define MATCH_SUMMARY_WORDS 16 /* a bit for each of MATCH_MAX_RULES / 64 words */
#define MATCH_MAX_ADDED 128    /* rules added beside a ruleset */

/* What is looked up. Values are in host order; what a packet does not have (a port, in
 * ICMP) has the value after the field's greatest. */
enum match_field {
    MATCH_SRC, /* by family: see match_layout.addr4 */
    MATCH_DST,
    MATCH_PROTO,  /* 0 to 255 */
    MATCH_SPORT,  /* 0 to 65535 */
    MATCH_DPORT,  /* 0 to 65535 */
    MATCH_ICMP,   /* type * 256 + code */
    MATCH_FLAGS,  /* of TCP, 0 to 255 */
    MATCH_IFACE,  /* the number of the interface by which it came */
    MATCH_VLAN,   /* 0 to 4095 */
    MATCH_DSCP,   /* 0 to 63 */
    MATCH_FRAG,   /* enum pkt_frag */
    MATCH_LENGTH, /* of the IP datagram */
    MATCH_FIELDS,
};
#define MATCH_MAX_VECTORS 29 /* MATCH_FIELDS + MATCH_MAX_SETS, and match_layout.live */

/* What nobody can say of a fragment, or where layer 4 is malformed. */
#define MATCH_TRANSPORT (1 << MATCH_SPORT | 1 << MATCH_DPORT | 1 << MATCH_ICMP | 1 << MATCH_FLAGS)
#define MATCH_NO_VALUE 65536 /* above any value of a field that a packet may not have */

/* The first cell of a ruleset. */
struct match_layout {
    __u32 id;        /* of these rules, never given twice while programs run; not 0 */
    __u32 rules;     /* without the default, which is the last */
    __u32 words;     /* of each vector */
    __u32 uses;      /* which fields some rule asks for, a bit each */
    __u32 sets;      /* how many uses of sets; struct match_set_use, four to a cell */
    __u32 set_cell;  /* the first of them */
    __u32 rule_cell; /* struct match_rule, MATCH_CELL_RULES to a cell */
    /* By value; see struct match_table. Of addresses for each family. */
    __u32 addr4[2], addr6[2];
    __u32 table_cell; /* u32[16]: by enum match_field, that field's table */
    __u32 first;      /* the array's cell that those here are counted from */
    __u32 looks;      /* uses, with those of the rules added: what answers depend on */
    /* Of a ruleset with a few changes: */
    __u32 live;  /* the vector of its rules without those removed; 0: none is */
    __u32 added; /* the array's cell of the layout of the rules added; 0: none is */
};
ABI_VALUE(struct match_layout, 64);

/* Rules added are numbered after the default, in order of evaluation. Their places are in the
 * cells after the layout that names them: u32, MATCH_KEYS to a cell, the rule before which
 * each stands. */
#define MATCH_PLACE_CELLS (MATCH_MAX_ADDED / 16)

/* The intervals that a field's values fall into, as a search tree. Keys are the greatest
 * values of intervals, sorted; at each level the number of keys in the cell that are below
 * the value says which cell of the next level to read, at the lowest it is the interval's
 * number. Keys that fill a cell are the greatest of all. */
struct match_table {
    __u32 levels;
    __u32 vector_cell;                /* u32, 16 to a cell: by interval, its vector's cell */
    __u32 key_cell[MATCH_MAX_LEVELS]; /* from the highest level, of one cell, down */
    __u32 pad[5];
};
ABI_VALUE(struct match_table, 64);
#define MATCH_KEYS 16      /* in a cell, of 32 bits */
#define MATCH_ADDR6_KEYS 4 /* in a cell, of 128 bits */

/* A 128-bit address as a number, host order, so that it can be compared. */
struct match_bound {
    __u64 high;
    __u64 low;
};

enum match_rule_flag {
    MATCH_RULE_TRANSPORT = 1 << 0, /* asks for one of MATCH_TRANSPORT, or a port in a set */
    MATCH_RULE_PROTO = 1 << 1,     /* asks for a protocol */
};

struct match_rule {
    __u8 action; /* a number whose meaning is the VNF's, as of all but the flags */
    __u8 flags;  /* enum match_rule_flag */
    __u16 options;
    __u32 counter;
    __u64 period;
    __u32 number[4];
};
ABI_VALUE(struct match_rule, 32);
#define MATCH_CELL_RULES 2

enum match_set_key {
    MATCH_SET_SADDR,
    MATCH_SET_DADDR,
    MATCH_SET_SPORT,
    MATCH_SET_DPORT,
    MATCH_SET_SADDR_SPORT,
    MATCH_SET_DADDR_DPORT,
};

/* A use of a named set. */
struct match_set_use {
    __u16 set; /* its number */
    __u8 key;  /* enum match_set_key */
    __u8 pad;
    __u32 member_vector; /* of the rules that a member does not exclude; 0: all */
    __u32 other_vector;  /* … that one which is none does not; 0: all */
    __u32 pad2;
};
ABI_VALUE(struct match_set_use, 16);

/* An element of a named set: what is not of the set's type is zero. */
struct match_set_element {
    struct ip_addr addr;
    __be16 port;
    __u16 set;
    __u8 length; /* of the prefix, of 128; an address has 128 */
    __u8 pad[3]; /* zero */
};
ABI_KEY(struct match_set_element, 24);

/* How long the prefixes of a set are: bit n for length n, of 128. */
struct match_set_lengths {
    __u64 word[3];
};
ABI_VALUE(struct match_set_lengths, 24);
#define MATCH_SET_NUMBERS 256 /* of named sets of a VNF */

union match_cell {
    __u32 u32[16];
    __u64 u64[MATCH_BLOCK_WORDS];
    struct match_layout layout;
    struct match_table table;
    struct match_bound bound[MATCH_ADDR6_KEYS];
    struct match_rule rule[MATCH_CELL_RULES];
    struct match_set_use set_use[4];
};
ABI_VALUE(union match_cell, 64);

/* What the rules have decided for a packet, remembered by all that they look at: one
 * line for each flow, for each CPU, which all stages of the chain share. Of IPv6 the
 * rest of the addresses is in struct match_flow6. */
#define MATCH_ANSWERS 3
#define MATCH_FLOW_USED 0x80 /* since another flow last asked for its place */
struct match_flow {
    __be32 saddr, daddr; /* the last word of each */
    __be16 sport, dport;
    __u8 proto;
    __u8 kind; /* MATCH_FLOW_KIND(), with MATCH_FLOW_USED; 0: the line is nobody's */
    /* What else the rules look at, see match_extra(). */
    __u16 icmp; /* type, code */
    __u32 ifindex;
    __u32 length; /* which lengths have the same rules */
    __u32 tags;   /* VLAN, DSCP, TCP flags */
    struct {
        __u32 ruleset; /* match_layout.id, 0: none */
        __u32 changes; /* match_set_changes, when members were found */
        __u16 rule;
        __u16 members;       /* of which used sets the flow is one, a bit each */
    } answer[MATCH_ANSWERS]; /* for different stages */
};
/* Of a packet: family, enum pkt_l4, enum pkt_frag. */
#define MATCH_FLOW_KIND(family, l4, frag) (((family) == 6) << 6 | (l4) << 3 | (frag) << 1 | 1)
ABI_VALUE(struct match_flow, 64);

struct match_flow6 {
    __be32 saddr[3], daddr[3];
    __u32 pad[2];
};
ABI_VALUE(struct match_flow6, 32);
#define MATCH_FLOW_WAYS 4 /* places that a flow may have */
