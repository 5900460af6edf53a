// SPDX-License-Identifier: GPL-2.0-or-later
/* classify: tells packets apart, so that the chain can lead them different ways.
 *
 *   packet -> first rule that matches -> next, as rule1 … rule7
 *                                  `-- none: next, as otherwise
 */
#include "lib/match.h"
#include "lib/stage.h"
#include "vnfs/classify/abi.h"

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
    __uint(max_entries, 1);
    __type(key, __u32);
    __array(values, struct match_tables_map);
} classify_ruleset SEC(".maps");

STAGE(classify)
{
    struct match_tables *t = match_tables_in(&classify_ruleset);
    __u32 i;

    if (!t)
        return CLASSIFY_DROP_NO_TABLES;
    i = match_visible(t, p);
    if (i > CLASSIFY_MAX_RULES)
        return CLASSIFY_DROP_NO_TABLES; /* never: there are no more rules */
    return VNF_REASON(VERDICT_NEXT, t->rule[i].action & CLASSIFY_MAX_RULES);
}

char LICENSE[] SEC("license") = "GPL";
