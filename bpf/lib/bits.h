/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The position of the lowest bit set, by a de Bruijn sequence: BPF has no instruction
 * for it, and branches would multiply what the verifier must follow. */
#pragma once
#include <linux/types.h>

#include <bpf/bpf_helpers.h>

static const __u8 bit_position[64] = {
    0,  1,  2,  53, 3,  7,  54, 27, 4,  38, 41, 8,  34, 55, 48, 28, 62, 5,  39, 46, 44, 42,
    22, 9,  24, 35, 59, 56, 49, 18, 29, 11, 63, 52, 6,  26, 37, 40, 33, 47, 61, 45, 43, 21,
    23, 58, 17, 10, 51, 25, 36, 32, 60, 20, 57, 16, 50, 31, 19, 15, 30, 14, 13, 12,
};

/* Of a word that is not zero. */
static __always_inline __u32 lowest_bit(__u64 w)
{
    return bit_position[((w & -w) * 0x022fdd63cc95386d) >> 58];
}
