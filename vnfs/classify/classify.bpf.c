// SPDX-License-Identifier: GPL-2.0-or-later
/* classify: tells packets apart, so that the chain can lead them different ways.
 *
 *   packet -> first rule that matches -> next, as rule1 … rule7
 *                                  `-- none: next, as otherwise
 */
#include "lib/match.h"
#include "lib/stage.h"
#include "vnfs/classify/abi.h"

STAGE(classify)
{
    const struct match_rule *rule;
    struct match m;

    if (!match_first(p, &m, MATCH_VISIBLE))
        return CLASSIFY_DROP_NO_TABLES;
    rule = match_rule(&m);
    if (!rule)
        return CLASSIFY_DROP_NO_TABLES; /* never: all that is visible is decided */
    return VNF_REASON(VERDICT_NEXT, rule->action & CLASSIFY_MAX_RULES);
}

char LICENSE[] SEC("license") = "GPL";
