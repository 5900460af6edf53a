// SPDX-License-Identifier: GPL-2.0-or-later
/* efw: the firewall's fast path.
 *
 *   packet -> first rule -> count -> accept: next | drop | slow: netfilter
 *                      `-- its ports (or protocol) cannot be seen: slow
 */
#include "lib/match.h"
#include "lib/stage.h"
#include "vnfs/efw/abi.h"

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
    __uint(max_entries, 1);
    __type(key, __u32);
    __array(values, struct match_tables_map);
} efw_ruleset SEC(".maps");

/* By match_rule.counter. A rule keeps its counter while other rules come and go. */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, EFW_COUNTERS);
    __type(key, __u32);
    __type(value, struct counter);
    __uint(pinning, LIBBPF_PIN_BY_NAME);
} efw_counters SEC(".maps");

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
    struct match_tables *t = match_tables_in(&efw_ruleset);
    struct match_rule *rule;
    __u32 i;

    if (!t)
        return EFW_DROP_NO_TABLES;
    i = match_decide(t, p);
    if (i > MATCH_MAX_RULES)
        return match_unknown_reason(p);
    rule = &t->rule[i];
    count(&efw_counters, rule->counter, p->len);
    trace_detail(p, rule->counter + 1);
    return reason_of(rule->action, i == t->rules);
}

char LICENSE[] SEC("license") = "GPL";
