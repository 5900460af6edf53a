// SPDX-License-Identifier: GPL-2.0-or-later
/* A stage that ends the chain, so that a test can look at struct pkt as the stages
 * before left it: the packet goes to the stack, counted as "not_ip", which no stage
 * but the root gives otherwise. */
#include "lib/stage.h"

STAGE(recorder)
{
    return p ? SLOW_NOT_IP : DROP_NO_STAGE;
}

char LICENSE[] SEC("license") = "GPL";
