/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the paper's classifier and the benchmark share. */
#pragma once
#include "abi/types.h"

#define PAPER_HOPS 1024
#define PAPER_FLOWS 200000

struct paper_flow {
    __be32 saddr, daddr;
    __be16 sport, dport;
    __u8 proto;
    __u8 pad[3]; /* always zero */
};
ABI_KEY(struct paper_flow, 16);
