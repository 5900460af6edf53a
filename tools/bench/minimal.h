/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the minimal program and the benchmark share. */
#pragma once
#include "abi/types.h"

/* Source and destination: of IPv4 the first two words, of IPv6 all. */
struct minimal_key {
    __be32 addresses[8];
    __be16 sport, dport;
};
ABI_KEY(struct minimal_key, 36);
