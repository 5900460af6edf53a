/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Finds the rule that matches a packet, in the tables of abi/match.h.
 *
 *   packet ─ its flow's line (match_flow.h): an answer of this ruleset? ─ yes: the rule
 *                                             │ no, then remembered there
 *     src ─┐                                  │
 *     dst ─┤                                  │
 *   proto ─┼ vectors ─ AND ─ first rule ──────┘
 *   sport ─┤
 *     …   ─┘
 *
 * The same is done with the rules that were added to these since, if there are any: the one
 * of the two that stands first is the rule.
 *
 * The layout in force is in the cell that cell 0 names. That is read once for a packet,
 * which so ends with the rules that it began with.
 */
#pragma once
#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "abi/chain.h"
#include "abi/match.h"
#include "abi/pkt.h"
#include "lib/bits.h"
#include "lib/match_flow.h"
#include "lib/match_set.h"
#include "lib/match_table.h"

/* The answer where no rule's number can be given: above any. */
#define MATCH_UNKNOWN (~0U)

/* How a packet's first rule is sought where some of its fields cannot be seen. */
enum match_mode {
    /* MATCH_UNKNOWN if the first rule that may match asks for ports or a protocol that
     * cannot be seen: not for us to say, see match_unknown_reason(). */
    MATCH_DECIDE,
    /* A rule that asks for what cannot be seen does not match. */
    MATCH_VISIBLE,
};

/* What a search looks for, and then what it ANDs. */
struct match_query {
    __u32 base;    /* the cell that cells are counted from */
    __u32 count;   /* of `vector` */
    __u32 summary; /* words of each vector's summary */
    __u32 skip;    /* fields that are not asked, a bit each */
    __u32 unseen;  /* flags of rules that ask for what cannot be seen */
    __u32 value[MATCH_FIELDS];
    __u32 vector[32]; /* MATCH_MAX_VECTORS at most */
};

/* The search under way. Not on the stack, where the verifier would follow each way in
 * which it can be filled: of a program with functions, that of Linux 6.1 takes two states
 * for the same only if all numbers that it knows are. */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct match_query);
} chain_match_query SEC(".maps");

/* One word of the rules that all vectors have. */
__noinline __u64 match_word(struct match_query *q, __u32 word)
{
    __u64 match = ~0ULL;

    if (!q)
        return 0;
    for (__u32 i = 0; i < MATCH_MAX_VECTORS && i < q->count; i++) {
        /* After the summary come the numbers of the blocks' cells. */
        __u32 block = q->summary * 2 + word / MATCH_BLOCK_WORDS;
        union match_cell *c = match_cell(q->base + q->vector[i] + block / 16);

        if (!c)
            return 0;
        c = match_cell(q->base + c->u32[block % 16]);
        if (!c)
            return 0;
        match &= c->u64[word % MATCH_BLOCK_WORDS];
        if (!match)
            return 0;
    }
    return match;
}

/* The same of their summaries: which words are worth reading. */
__noinline __u64 match_summary(struct match_query *q, __u32 word)
{
    __u64 match = ~0ULL;

    if (!q)
        return 0;
    for (__u32 i = 0; i < MATCH_MAX_VECTORS && i < q->count; i++) {
        union match_cell *c = match_cell(q->base + q->vector[i] + word / MATCH_BLOCK_WORDS);

        if (!c)
            return 0;
        match &= c->u64[word % MATCH_BLOCK_WORDS];
    }
    return match;
}

/* The first rule from `start` on that all vectors have, of the words of one word of their
 * summaries; or MATCH_UNKNOWN. */
__noinline __u32 match_scan_part(struct match_query *q, __u32 part, __u32 start)
{
    __u64 words = match_summary(q, part);

    if (part == start / 64 / 64)
        words &= ~0ULL << start / 64 % 64;
    for (int i = 0; i < 64 && words; i++, words &= words - 1) {
        __u32 word = part * 64 + lowest_bit(words);
        __u64 match = match_word(q, word);

        if (word == start / 64)
            match &= ~0ULL << start % 64;
        if (match)
            return word * 64 + lowest_bit(match);
    }
    return MATCH_UNKNOWN;
}

/* The same of all words. */
static __always_inline __u32 match_scan(struct match_query *q, __u32 start)
{
    for (__u32 part = 0; part < MATCH_SUMMARY_WORDS && part < q->summary; part++) {
        __u32 rule;

        if (part < start / 64 / 64)
            continue;
        rule = match_scan_part(q, part, start);
        if (rule != MATCH_UNKNOWN)
            return rule;
    }
    return MATCH_UNKNOWN;
}

/* Whether nobody can say what a packet's ports are: all fragments of a datagram must meet
 * the same rule, and only the first has ports; and malformed headers have none. */
static __always_inline bool match_hidden(const struct pkt *p)
{
    return p->frag != PKT_FRAG_NONE || p->l4 == PKT_L4_BAD || p->l4 == PKT_L4_UNREAD;
}

static __always_inline __u32 match_dscp(const struct pkt *p)
{
    return p->tos >> 2;
}

static __always_inline __u32 match_vlan(const struct pkt *p)
{
    return p->vlans ? p->vlan_tci[0] & 0xfff : MATCH_NO_VALUE;
}

static __always_inline __u32 match_length(const struct pkt *p)
{
    return p->l3_end - p->l3_off;
}

/* The values that a packet has, by enum match_field; not of addresses. */
__noinline int match_values(struct pkt *p, struct match_query *q)
{
    __u32 *value;
    bool whole, ports, icmp;

    if (!p)
        return 0;
    if (!q)
        return 0;
    value = q->value;
    whole = p->frag == PKT_FRAG_NONE;
    ports = whole && p->l4 == PKT_L4_PORTS;
    icmp = whole && p->l4 == PKT_L4_ICMP;
    value[MATCH_PROTO] = p->l4 == PKT_L4_UNREAD ? MATCH_NO_VALUE : p->flow.proto;
    value[MATCH_SPORT] = ports ? bpf_ntohs(p->flow.sport) : MATCH_NO_VALUE;
    value[MATCH_DPORT] = ports ? bpf_ntohs(p->flow.dport) : MATCH_NO_VALUE;
    value[MATCH_ICMP] = icmp ? p->icmp_type << 8 | p->icmp_code : MATCH_NO_VALUE;
    value[MATCH_FLAGS] = ports ? p->tcp_flags : MATCH_NO_VALUE; /* protocol says if TCP */
    value[MATCH_IFACE] = p->ifindex;
    value[MATCH_VLAN] = match_vlan(p);
    value[MATCH_DSCP] = match_dscp(p);
    value[MATCH_FRAG] = p->frag;
    value[MATCH_LENGTH] = match_length(p);
    return 0;
}

/* What cannot be seen of a packet with match_hidden(). */
__noinline int match_unseen(struct pkt *p, struct match_query *q)
{
    if (!p)
        return 0;
    if (!q)
        return 0;
    q->skip = MATCH_TRANSPORT;
    q->unseen = MATCH_RULE_TRANSPORT;
    if (p->l4 == PKT_L4_UNREAD) {
        q->skip |= 1 << MATCH_PROTO;
        q->unseen |= MATCH_RULE_PROTO;
    }
    return 0;
}

static __always_inline void match_add(struct match_query *q, __u32 vector)
{
    q->vector[q->count & 31] = vector;
    q->count++;
}

static __always_inline void match_add_address(struct match_query *q, const struct match_layout *l,
                                              const struct pkt *p, const struct ip_addr *a,
                                              int which)
{
    if (p->flow.family == 4)
        return match_add(q, match_vector(q->base, l->addr4[which], bpf_ntohl(a->w[3])));
    match_add(q, match_vector6(q->base, l->addr6[which],
                               (__u64)bpf_ntohl(a->w[0]) << 32 | bpf_ntohl(a->w[1]),
                               (__u64)bpf_ntohl(a->w[2]) << 32 | bpf_ntohl(a->w[3])));
}

/* Of the sets, by which of them the packet is a member. */
static __always_inline void match_add_sets(struct match_query *q, const struct match_layout *l,
                                           __u32 members)
{
    for (__u32 i = 0; i < MATCH_MAX_SETS && i < l->sets; i++) {
        union match_cell *c = match_cell(q->base + l->set_cell + i / 4);
        struct match_set_use *use;
        __u32 vector;

        if (!c)
            return;
        use = &c->set_use[i % 4];
        vector = members >> i & 1 ? use->member_vector : use->other_vector;
        if (vector && (!q->skip || use->key <= MATCH_SET_DADDR))
            match_add(q, vector);
    }
}

/* In the answer of match_search(): the rule asks for what cannot be seen. */
#define MATCH_UNSEEN (1U << 31)

/* The number of the first rule from `start` on that matches, in the tables of one layout: as
 * many as there are if none does. */
__noinline __u32 match_search(struct pkt *p, __u32 layout, __u32 members, __u32 start, __u32 mode)
{
    union match_cell *c = match_cell(layout), *tables, *r;
    __u32 zero = 0;
    struct match_query *q = bpf_map_lookup_elem(&chain_match_query, &zero);
    const struct match_layout *l;
    __u32 i;

    if (!p)
        return 0;
    if (!c)
        return 0;
    if (!q)
        return 0;
    l = &c->layout;
    tables = match_cell(l->first + l->table_cell);
    if (!tables)
        return 0;
    q->skip = 0;
    q->unseen = 0;
    if (mode == MATCH_DECIDE && match_hidden(p))
        match_unseen(p, q);
    q->base = l->first;
    q->count = 0;
    q->summary = (l->words + 63) / 64;
    match_values(p, q);
    if (l->live)
        match_add(q, l->live);
    if (l->uses & 1 << MATCH_SRC)
        match_add_address(q, l, p, &p->flow.saddr, 0);
    if (l->uses & 1 << MATCH_DST)
        match_add_address(q, l, p, &p->flow.daddr, 1);
    for (int f = MATCH_PROTO; f < MATCH_FIELDS; f++)
        if (l->uses & ~q->skip & 1 << f)
            match_add(q, match_vector(q->base, tables->u32[f], q->value[f]));
    match_add_sets(q, l, members);

    i = match_scan(q, start);
    if (i >= l->rules)
        return l->rules;
    r = match_cell(q->base + l->rule_cell + i / MATCH_CELL_RULES);
    if (!r || r->rule[i % MATCH_CELL_RULES].flags & q->unseen)
        return i | MATCH_UNSEEN;
    return i;
}

/* Before which rule an added one stands. */
static __always_inline __u32 match_place(__u32 layout, __u32 added)
{
    union match_cell *c = match_cell(layout + 1 + added / MATCH_KEYS);

    return c ? c->u32[added % MATCH_KEYS] : 0;
}

/* How many of the rules added stand before a rule. */
__noinline __u32 match_added_before(__u32 layout, __u32 count, __u32 rule)
{
    __u32 i;

    for (i = 0; i < MATCH_MAX_ADDED && i < count; i++)
        if (match_place(layout, i) > rule)
            break;
    return i;
}

/* The number of the first rule that matches after rule `last`, or, if that is MATCH_UNKNOWN,
 * of all: of the default if none does, MATCH_UNKNOWN as `mode` says. */
__noinline __u32 match_rules(struct pkt *p, __u32 layout, __u32 members, __u32 last, __u32 mode)
{
    union match_cell *c = match_cell(layout), *a;
    __u32 start = last + 1, start_added = 0, rule, added, rules;

    if (!p)
        return MATCH_UNKNOWN;
    if (!c)
        return MATCH_UNKNOWN;
    rules = c->layout.rules;
    a = c->layout.added ? match_cell(c->layout.added) : NULL;
    if (a && last != MATCH_UNKNOWN) {
        if (last > rules) {
            start_added = last - rules;
            start = match_place(layout, last - rules - 1);
        } else {
            start_added = match_added_before(layout, a->layout.rules, last);
        }
    }
    rule = match_search(p, layout, members, start, mode);
    if (a) {
        added = match_search(p, c->layout.added, members, start_added, mode);
        if ((added & ~MATCH_UNSEEN) < a->layout.rules &&
            match_place(layout, added & ~MATCH_UNSEEN) <= (rule & ~MATCH_UNSEEN))
            rule = rules + 1 + added;
    }
    return rule & MATCH_UNSEEN ? MATCH_UNKNOWN : rule;
}

/* Of which used sets the packet is a member: a bit for each use. Not before `changes`, by
 * match_sets_changed(), was read. */
__noinline __u32 match_members(struct pkt *p, __u32 layout, __u32 changes)
{
    union match_cell *c = match_cell(layout);
    __u32 members = 0, sets, cell, after = match_after(changes);

    if (!p)
        return 0;
    if (!c)
        return 0;
    sets = c->layout.sets;
    cell = c->layout.first + c->layout.set_cell;
    for (__u32 i = 0; i < MATCH_MAX_SETS && i < sets; i++) {
        __u32 has;

        c = match_cell(cell + i / 4);
        if (!c)
            return members;
        has = match_set_has(p, c->set_use[i % 4].set | after, c->set_use[i % 4].key);
        /* No branch: each would double what the verifier must follow. */
        asm volatile("" : "+r"(has));
        members |= (has & 1) << i;
    }
    return members;
}

/* A function for the verifier's sake, as struct match_query is where it is. */
__noinline int match_extra(struct pkt *p, __u32 layout, struct match_extra *e)
{
    union match_cell *c = match_cell(layout);
    const struct match_layout *l;

    if (!p)
        return 0;
    if (!e)
        return 0;
    if (!c)
        return 0;
    l = &c->layout;
    if (!(l->looks & ~(1 << MATCH_SRC | 1 << MATCH_DST | 1 << MATCH_PROTO | 1 << MATCH_SPORT |
                       1 << MATCH_DPORT | 1 << MATCH_FRAG)))
        return 0;
    if (l->looks & 1 << MATCH_FLAGS)
        e->tags |= p->tcp_flags;
    if (l->looks & 1 << MATCH_DSCP)
        e->tags |= match_dscp(p) << 8;
    if (l->looks & 1 << MATCH_VLAN)
        e->tags |= (p->vlans ? 0x1000U | (p->vlan_tci[0] & 0xfff) : 0) << 16;
    if (l->looks & 1 << MATCH_IFACE)
        e->ifindex = p->ifindex;
    if (l->looks & 1 << MATCH_ICMP)
        e->icmp = p->icmp_type << 8 | p->icmp_code;
    if (l->looks & 1 << MATCH_LENGTH) {
        union match_cell *tables = match_cell(l->first + l->table_cell);

        if (l->added) /* of two tables there is no one number of both intervals */
            e->length = match_length(p);
        else if (tables) /* all lengths with the same rules are as one */
            e->length = match_vector(l->first, tables->u32[MATCH_LENGTH], match_length(p));
    }
    return 0;
}

/* A packet's rule, and what is needed to go on from it. */
struct match {
    __u32 layout; /* the cell of the one in force */
    __u32 members;
    __u32 rules; /* the number of the default */
    __u32 rule;  /* or MATCH_UNKNOWN */
};

/* Of its lowest 16 bits, which a flow's line has. */
static __always_inline __u32 match_rule_number(__u16 remembered)
{
    return remembered == (__u16)MATCH_UNKNOWN ? MATCH_UNKNOWN : remembered;
}

/* False if there is no ruleset. */
static __always_inline bool match_first(struct pkt *p, struct match *m, enum match_mode mode)
{
    union match_cell *c = match_cell(0);
    const struct match_layout *l;
    struct match_flow *flow = NULL;
    struct match_extra extra = {};
    __u32 column = match_column, changes;

    if (!c)
        return false;
    m->layout = *(volatile __u32 *)&c->u32[0];
    c = match_cell(m->layout);
    if (!c || !m->layout)
        return false;
    l = &c->layout;
    m->rules = l->rules;
    changes = l->sets ? match_sets_changed() : 0;
    if (column < MATCH_ANSWERS) {
        match_extra(p, m->layout, &extra);
        flow = match_flow_of(p, &extra);
    }
    if (flow && flow->answer[column].ruleset == l->id && flow->answer[column].changes == changes) {
        m->rule = match_rule_number(flow->answer[column].rule);
        m->members = flow->answer[column].members;
        return true;
    }
    m->members = l->sets ? match_members(p, m->layout, changes) : 0;
    if (flow && flow->answer[column].ruleset == l->id && flow->answer[column].members == m->members)
        m->rule = match_rule_number(flow->answer[column].rule);
    else
        m->rule = match_rules(p, m->layout, m->members, MATCH_UNKNOWN, mode);
    if (flow) {
        flow->answer[column].rule = m->rule;
        flow->answer[column].members = m->members;
        flow->answer[column].changes = changes & ~1U; /* odd: not to be remembered */
        flow->answer[column].ruleset = l->id;
    }
    return true;
}

/* The rule itself. NULL if it is MATCH_UNKNOWN. */
static __always_inline const struct match_rule *match_rule(const struct match *m)
{
    union match_cell *c = match_cell(m->layout);
    __u32 rule = m->rule;

    if (!c || rule == MATCH_UNKNOWN)
        return NULL;
    if (rule > m->rules) {
        rule -= m->rules + 1;
        c = match_cell(c->layout.added);
        if (!c)
            return NULL;
    }
    c = match_cell(c->layout.first + c->layout.rule_cell + rule / MATCH_CELL_RULES);
    return c ? &c->rule[rule % MATCH_CELL_RULES] : NULL;
}

/* From a rule that did not end the search to the next. */
static __always_inline void match_next(struct pkt *p, struct match *m, enum match_mode mode)
{
    m->rule = match_rules(p, m->layout, m->members, m->rule, mode);
}

static __always_inline enum chain_reason match_unknown_reason(const struct pkt *p)
{
    return p->frag != PKT_FRAG_NONE ? SLOW_FRAGMENT : SLOW_L4_UNKNOWN;
}
