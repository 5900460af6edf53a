/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The cells of rulesets, and the search of a field's table for the interval of a value: see
 * abi/match.h. */
#pragma once
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "abi/match.h"

/* Its size is set before loading; written by common/match/store.cpp. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, union match_cell);
} match_cells SEC(".maps");

static __always_inline union match_cell *match_cell(__u32 i)
{
    return bpf_map_lookup_elem(&match_cells, &i);
}

/* 1 if a - b - less, of 64 bits, is below zero. Without a branch, which would be
 * mispredicted as often as not, and double what the verifier must follow; the barrier
 * keeps the compiler from making it one. */
static __always_inline __u64 borrow(__u64 a, __u64 b, __u64 less)
{
    __u64 difference = a - b - less;

    asm volatile("" : "+r"(difference));
    return ((~a & b) | ((~a | b) & difference)) >> 63;
}

/* The same for less than 64 bits. */
static __always_inline __u32 is_below(__u64 a, __u64 b)
{
    __u64 difference = a - b;

    asm volatile("" : "+r"(difference));
    return difference >> 63;
}

/* The vector of a value: the cell where it begins, 0 if there is none. A global function,
 * which the verifier goes through once. */
__noinline __u32 match_vector(__u32 base, __u32 table, __u32 value)
{
    union match_cell *t = match_cell(base + table), *c;
    __u32 at = 0, levels;

    if (!t)
        return 0;
    levels = t->table.levels;
    for (__u32 i = 0; i < MATCH_MAX_LEVELS && i < levels; i++) {
        c = match_cell(base + t->table.key_cell[i] + at);
        at *= MATCH_KEYS;
        if (!c)
            return 0;
        for (int k = 0; k < MATCH_KEYS - 1; k++)
            at += is_below(c->u32[k], value);
    }
    c = match_cell(base + t->table.vector_cell + at / MATCH_KEYS);
    return c ? c->u32[at % MATCH_KEYS] : 0;
}

/* The same for an IPv6 address. */
__noinline __u32 match_vector6(__u32 base, __u32 table, __u64 high, __u64 low)
{
    union match_cell *t = match_cell(base + table), *c;
    __u32 at = 0, levels;

    if (!t)
        return 0;
    levels = t->table.levels;
    for (__u32 i = 0; i < MATCH_MAX_LEVELS && i < levels; i++) {
        c = match_cell(base + t->table.key_cell[i] + at);
        at *= MATCH_ADDR6_KEYS;
        if (!c)
            return 0;
        for (int k = 0; k < MATCH_ADDR6_KEYS - 1; k++) {
            struct match_bound *last = &c->bound[k];

            at += borrow(last->high, high, borrow(last->low, low, 0));
        }
    }
    c = match_cell(base + t->table.vector_cell + at / MATCH_KEYS);
    return c ? c->u32[at % MATCH_KEYS] : 0;
}
