/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Named sets: addresses, prefixes, ports, or addresses with ports, of which rules ask
 * whether a packet is a member. They change without the rules. A prefix is sought by one
 * lookup for each length that the set has.
 */
#pragma once
#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "abi/match.h"
#include "abi/pkt.h"
#include "lib/bits.h"

/* All elements of all sets, written by efw; the value is for whoever fills them. Its size
 * is set before loading. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 1);
    __type(key, struct match_set_element);
    __type(value, __u32);
    __uint(pinning, LIBBPF_PIN_BY_NAME);
} match_sets SEC(".maps");

/* By number of the set. A length is here before its first element is. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, MATCH_SET_NUMBERS);
    __type(key, __u32);
    __type(value, struct match_set_lengths);
    __uint(pinning, LIBBPF_PIN_BY_NAME);
} match_set_lengths SEC(".maps");

/* Odd while elements come and go; each change leaves another even number. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u32);
    __uint(pinning, LIBBPF_PIN_BY_NAME);
} match_set_changes SEC(".maps");

/* To be read before sets are asked: with it their answers may be remembered. */
static __always_inline __u32 match_sets_changed(void)
{
    __u32 zero = 0, *changes = bpf_map_lookup_elem(&match_set_changes, &zero);

    return changes ? *(volatile __u32 *)changes : 1;
}

/* Zero, but for the processor not before `n` is known: a load whose address it is part of
 * is not done before that of `n` (an address dependency, see tools/memory-model in Linux). */
static __always_inline __u32 match_after(__u32 n)
{
    asm volatile("%0 ^= %0" : "+r"(n));
    return n;
}

/* The first `length` bits of an address. */
static __always_inline void match_set_prefix(struct ip_addr *to, const struct ip_addr *from,
                                             __u32 length)
{
    for (__u32 i = 0; i < 4; i++) {
        __u32 bits = length > 32 * i ? length - 32 * i : 0;
        __u32 mask = bits >= 32 ? ~0U : bits ? ~0U << (32 - bits) : 0;

        to->w[i] = from->w[i] & bpf_htonl(mask);
    }
}

/* Whether the set has the prefix of `length` bits that the address is in. */
__noinline __u32 match_set_has_prefix(struct ip_addr *a, __u32 set, __u32 length)
{
    struct match_set_element e = {.set = set, .length = length};

    if (!a)
        return 0;
    match_set_prefix(&e.addr, a, length);
    return bpf_map_lookup_elem(&match_sets, &e) != NULL;
}

/* The same for each length of which `bits` has a bit: of word `w` of the lengths. */
__noinline __u32 match_set_has_one(struct ip_addr *a, __u32 set, __u32 w, __u64 bits)
{
    if (!a)
        return 0;
    for (int i = 0; i < 64 && bits; i++, bits &= bits - 1)
        if (match_set_has_prefix(a, set, w * 64 + lowest_bit(bits)))
            return 1;
    return 0;
}

static __always_inline bool is_v4_mapped(const struct ip_addr *a)
{
    return !a->w[0] && !a->w[1] && a->w[2] == bpf_htonl(0xffff);
}

static __always_inline bool match_set_has_address(const struct pkt *p, __u32 set, struct ip_addr *a)
{
    struct match_set_lengths *lengths = bpf_map_lookup_elem(&match_set_lengths, &set);

    if (!lengths)
        return false;
    for (__u32 w = 0; w < 3; w++) {
        __u64 bits = lengths->word[w];

        /* IPv4 prefixes are those of 96 and more, within the mapped ones: they mean no
         * IPv6 packet, not even one with such an address; IPv6 prefixes no IPv4 packet. */
        if (w == 0 && p->flow.family == 4)
            bits = 0;
        if (w == 1 && p->flow.family == 4)
            bits &= ~0ULL << 32;
        if (w >= 1 && p->flow.family == 6 && is_v4_mapped(a))
            bits &= w == 1 ? ~(~0ULL << 32) : 0;
        if (bits && match_set_has_one(a, set, w, bits))
            return true;
    }
    return false;
}

/* Whether the set has what `key` (enum match_set_key) says of the packet. What a packet
 * does not have is in no set. */
__noinline __u32 match_set_has(struct pkt *p, __u32 set, __u32 key)
{
    struct match_set_element e = {.set = set};

    if (!p)
        return 0;
    if (key == MATCH_SET_SADDR)
        return match_set_has_address(p, set, &p->flow.saddr);
    if (key == MATCH_SET_DADDR)
        return match_set_has_address(p, set, &p->flow.daddr);
    if (p->l4 != PKT_L4_PORTS || p->frag != PKT_FRAG_NONE)
        return 0;
    e.port = key == MATCH_SET_SPORT || key == MATCH_SET_SADDR_SPORT ? p->flow.sport : p->flow.dport;
    if (key == MATCH_SET_SADDR_SPORT || key == MATCH_SET_DADDR_DPORT) {
        e.addr = key == MATCH_SET_SADDR_SPORT ? p->flow.saddr : p->flow.daddr;
        e.length = 128;
        if (p->flow.family == 6 && is_v4_mapped(&e.addr)) /* as of prefixes */
            return 0;
    }
    return bpf_map_lookup_elem(&match_sets, &e) != NULL;
}
