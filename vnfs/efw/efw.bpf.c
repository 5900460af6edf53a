// SPDX-License-Identifier: GPL-2.0-or-later
/* efw: the firewall's fast path.
 *
 *   src ─┐
 *   dst ─┤
 *  proto ┼ AND -> first rule -> count -> accept: next | drop | slow: netfilter
 *  sport ┤                 `-- its ports (or protocol) cannot be seen: slow
 *  dport ┘
 *
 * The tables are one immutable value, replaced whole: a packet that started with
 * one ruleset ends with it.
 */
#include <bpf/bpf_endian.h>

#include "lib/stage.h"
#include "vnfs/efw/abi.h"

struct efw_tables_map {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __uint(key_size, sizeof(__u32)); /* clang 14 gives inner maps no full type */
    __uint(value_size, sizeof(struct efw_tables));
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
    __uint(max_entries, 1);
    __type(key, __u32);
    __array(values, struct efw_tables_map);
} efw_ruleset SEC(".maps");

/* By efw_rule.counter. A rule keeps its counter while other rules come and go. */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, EFW_COUNTERS);
    __type(key, __u32);
    __type(value, struct counter);
    __uint(pinning, LIBBPF_PIN_BY_NAME);
} efw_counters SEC(".maps");

static __always_inline struct efw_tables *ruleset(void)
{
    __u32 zero = 0;
    void *map = bpf_map_lookup_elem(&efw_ruleset, &zero);

    return map ? bpf_map_lookup_elem(map, &zero) : NULL;
}

/* The class of an address: binary search for its interval. A global function, which
 * the verifier goes through once. */
__noinline __u32 addr_class(struct efw_addr_table *t, __u64 high, __u64 low)
{
    __u32 half, at = 0;

    if (!t)
        return 0;
    half = t->intervals / 2;
    for (__u32 size = EFW_INTERVALS; size > 1 && half; size /= 2, half /= 2) {
        __u32 mid = (at + half) & (EFW_INTERVALS - 1);
        struct efw_bound *b = &t->start[mid];

        if (high > b->high || (high == b->high && low >= b->low))
            at = mid;
    }
    return t->class_of[at & (EFW_INTERVALS - 1)];
}

/* The rules that an address does not exclude. */
static __always_inline struct efw_bits *addr_bits(struct efw_addr_table *t, const struct ip_addr *a)
{
    __u64 high = bpf_be64_to_cpu((__u64)a->w[1] << 32 | a->w[0]);
    __u64 low = bpf_be64_to_cpu((__u64)a->w[3] << 32 | a->w[2]);

    return &t->bits[addr_class(t, high, low) & (EFW_INTERVALS - 1)];
}

static __always_inline struct efw_bits *port_bits(struct efw_port_table *t, const struct pkt *p,
                                                  __be16 port)
{
    __u32 class = p->l4 == PKT_L4_PORTS ? t->class_of[bpf_ntohs(port)] : EFW_NO_PORT;

    return &t->bits[class & (EFW_INTERVALS - 1)];
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

/* The first rule that everything seen of the packet allows; t->rules, the default,
 * if there is none. `ports` false leaves the ports out of it. */
static __always_inline __u32 first_rule(struct efw_tables *t, const struct pkt *p, bool ports,
                                        struct efw_bits *proto)
{
    struct efw_bits *src = addr_bits(&t->src, &p->flow.saddr);
    struct efw_bits *dst = addr_bits(&t->dst, &p->flow.daddr);
    struct efw_bits *sport = port_bits(&t->sport, p, p->flow.sport);
    struct efw_bits *dport = port_bits(&t->dport, p, p->flow.dport);

    for (__u32 w = 0; w < EFW_WORDS && w < t->words; w++) {
        __u64 match = src->word[w] & dst->word[w] & proto->word[w];

        if (ports)
            match &= sport->word[w] & dport->word[w];
        if (match)
            return w * 64 + lowest_bit(match);
    }
    return t->rules;
}

static __always_inline __u32 reason_of(__u8 action, bool is_default)
{
    switch (action) {
    case EFW_ACCEPT:
        return is_default ? EFW_NEXT_DEFAULT : NEXT;
    case EFW_SLOW:
        return is_default ? EFW_SLOW_DEFAULT : EFW_SLOW_RULE;
    default:
        return is_default ? EFW_DROP_DEFAULT : EFW_DROP_RULE;
    }
}

STAGE(efw)
{
    struct efw_tables *t = ruleset();
    bool v4 = p->flow.family == 4;
    /* All fragments of a datagram must meet the same rule, and only the first has
     * ports: so none is matched by port. */
    bool ports = p->frag == PKT_FRAG_NONE && p->l4 != PKT_L4_BAD && p->l4 != PKT_L4_UNREAD;
    struct efw_bits *proto;
    struct efw_rule *rule;
    __u8 unseen = 0;
    __u32 i;

    if (!t)
        return EFW_DROP_NO_TABLES;
    proto = v4 ? &t->proto4[p->flow.proto] : &t->proto6[p->flow.proto];
    if (p->l4 == PKT_L4_UNREAD) {
        proto = v4 ? &t->any_proto4 : &t->any_proto6;
        unseen = EFW_RULE_PROTO;
    }
    if (!ports)
        unseen |= EFW_RULE_PORTS;

    i = first_rule(t, p, ports, proto);
    if (i > EFW_MAX_RULES)
        return EFW_DROP_NO_TABLES; /* never: bits past the default are clear */
    rule = &t->rule[i];
    /* Whether this rule matches depends on what cannot be seen: not for us to say. */
    if (rule->flags & unseen)
        return p->frag != PKT_FRAG_NONE ? SLOW_FRAGMENT : SLOW_L4_UNKNOWN;
    count(&efw_counters, rule->counter, p->len);
    return reason_of(rule->action, i == t->rules);
}

char LICENSE[] SEC("license") = "GPL";
