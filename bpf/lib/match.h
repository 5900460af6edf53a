/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Finds the rule that matches a packet, in the tables of abi/match.h.
 *
 *   src ─┐
 *   dst ─┤
 *  proto ┼ AND -> first rule
 *  sport ┤
 *  dport ┘
 *
 * The tables are one immutable value, replaced whole: a packet that started with one
 * ruleset ends with it.
 */
#pragma once
#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "abi/chain.h"
#include "abi/match.h"
#include "abi/pkt.h"

/* The answer where no rule's number can be given: always above MATCH_MAX_RULES. */
#define MATCH_UNKNOWN (~0U)

/* What an array of maps that holds a ruleset has in it. */
struct match_tables_map {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __uint(key_size, sizeof(__u32)); /* clang 14 gives inner maps no full type */
    __uint(value_size, sizeof(struct match_tables));
};

static __always_inline struct match_tables *match_tables_in(void *ruleset)
{
    __u32 zero = 0;
    void *map = bpf_map_lookup_elem(ruleset, &zero);

    return map ? bpf_map_lookup_elem(map, &zero) : NULL;
}

/* The class of an address: binary search for its interval. A global function, which
 * the verifier goes through once. */
__noinline __u32 addr_class(struct match_addr_table *t, __u64 high, __u64 low)
{
    __u32 half, at = 0;

    if (!t)
        return 0;
    half = t->intervals / 2;
    for (__u32 size = MATCH_INTERVALS; size > 1 && half; size /= 2, half /= 2) {
        __u32 mid = (at + half) & (MATCH_INTERVALS - 1);
        struct match_bound *b = &t->start[mid];

        if (high > b->high || (high == b->high && low >= b->low))
            at = mid;
    }
    return t->class_of[at & (MATCH_INTERVALS - 1)];
}

/* The rules that an address does not exclude. */
static __always_inline struct match_bits *addr_bits(struct match_addr_table *t,
                                                    const struct ip_addr *a)
{
    __u64 high = bpf_be64_to_cpu((__u64)a->w[1] << 32 | a->w[0]);
    __u64 low = bpf_be64_to_cpu((__u64)a->w[3] << 32 | a->w[2]);

    return &t->bits[addr_class(t, high, low) & (MATCH_INTERVALS - 1)];
}

/* All fragments of a datagram must meet the same rule, and only the first has ports:
 * so none is matched by port. */
static __always_inline struct match_bits *port_bits(struct match_port_table *t, const struct pkt *p,
                                                    __be16 port)
{
    bool has = p->l4 == PKT_L4_PORTS && p->frag == PKT_FRAG_NONE;
    __u32 class = has ? t->class_of[bpf_ntohs(port)] : MATCH_NO_PORT;

    return &t->bits[class & (MATCH_INTERVALS - 1)];
}

/* The position of the lowest bit set, by a de Bruijn sequence: BPF has no instruction
 * for it, and branches would multiply what the verifier must follow. */
static const __u8 bit_position[64] = {
    0,  1,  2,  53, 3,  7,  54, 27, 4,  38, 41, 8,  34, 55, 48, 28, 62, 5,  39, 46, 44, 42,
    22, 9,  24, 35, 59, 56, 49, 18, 29, 11, 63, 52, 6,  26, 37, 40, 33, 47, 61, 45, 43, 21,
    23, 58, 17, 10, 51, 25, 36, 32, 60, 20, 57, 16, 50, 31, 19, 15, 30, 14, 13, 12,
};

static __always_inline __u32 lowest_bit(__u64 w)
{
    return bit_position[((w & -w) * 0x022fdd63cc95386d) >> 58];
}

/* The first rule that the addresses, `proto` and, unless `ports` leaves them out of it,
 * the ports allow; t->rules, the default, if there is none. */
static __always_inline __u32 first_rule(struct match_tables *t, const struct pkt *p,
                                        struct match_bits *proto, bool ports)
{
    struct match_bits *src = addr_bits(&t->src, &p->flow.saddr);
    struct match_bits *dst = addr_bits(&t->dst, &p->flow.daddr);
    struct match_bits *sport = port_bits(&t->sport, p, p->flow.sport);
    struct match_bits *dport = port_bits(&t->dport, p, p->flow.dport);

    for (__u32 w = 0; w < MATCH_WORDS && w < t->words; w++) {
        __u64 match = src->word[w] & dst->word[w] & proto->word[w];

        if (ports)
            match &= sport->word[w] & dport->word[w];
        if (match)
            return w * 64 + lowest_bit(match);
    }
    return t->rules;
}

/* The number of the rule that decides. MATCH_UNKNOWN if the first rule that may match
 * asks for ports or a protocol that cannot be seen: not for us to say, see
 * match_unknown_reason(). */
static __always_inline __u32 match_decide(struct match_tables *t, const struct pkt *p)
{
    bool v4 = p->flow.family == 4;
    bool ports = p->frag == PKT_FRAG_NONE && p->l4 != PKT_L4_BAD && p->l4 != PKT_L4_UNREAD;
    struct match_bits *proto = v4 ? &t->proto4[p->flow.proto] : &t->proto6[p->flow.proto];
    __u8 unseen = ports ? 0 : MATCH_RULE_PORTS;
    __u32 i;

    if (p->l4 == PKT_L4_UNREAD) {
        proto = v4 ? &t->any_proto4 : &t->any_proto6;
        unseen |= MATCH_RULE_PROTO;
    }
    i = first_rule(t, p, proto, ports);
    /* The first never holds: bits past the default are clear. */
    if (i > MATCH_MAX_RULES || t->rule[i].flags & unseen)
        return MATCH_UNKNOWN;
    return i;
}

static __always_inline enum chain_reason match_unknown_reason(const struct pkt *p)
{
    return p->frag != PKT_FRAG_NONE ? SLOW_FRAGMENT : SLOW_L4_UNKNOWN;
}

/* The number of the first rule that matches by what can be seen: one that asks for
 * ports or a protocol that cannot be does not match. */
static __always_inline __u32 match_visible(struct match_tables *t, const struct pkt *p)
{
    bool v4 = p->flow.family == 4;
    struct match_bits *proto = v4 ? &t->proto4[p->flow.proto] : &t->proto6[p->flow.proto];

    if (p->l4 == PKT_L4_UNREAD)
        proto = v4 ? &t->no_proto4 : &t->no_proto6;
    return first_rule(t, p, proto, true);
}
