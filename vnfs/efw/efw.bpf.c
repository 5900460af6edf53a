// SPDX-License-Identifier: GPL-2.0-or-later
/* efw: the firewall's fast path.
 *
 *   packet -> first rule -> a token for it? -> count -> accept: next | drop | slow: netfilter
 *                  ^   |         `-- no            `-- count only
 *                  |   |              `----- next rule -----'
 *                  |   |`-- of the offload: are its conditions met? (offload.h)
 *                  |   `-- its ports (or protocol) cannot be seen: slow
 *
 * Of what is rejected or logged, the workers get a copy.
 */
#include "lib/match.h"
#include "lib/stage.h"
#include "vnfs/efw/abi.h"
#include "vnfs/efw/limit.h"
#include "vnfs/efw/offload.h"
#include "vnfs/efw/tell.h"

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
    case EFW_REJECT:
        return EFW_DROP_REJECT;
    default:
        return is_default ? EFW_DROP_DEFAULT : EFW_DROP_RULE;
    }
}

STAGE(efw)
{
    struct match m;

    if (!match_first(p, &m, MATCH_DECIDE))
        return EFW_DROP_NO_TABLES;
    for (int step = 0; step < EFW_MAX_STEPS; step++) {
        const struct match_rule *rule = match_rule(&m);

        if (!rule)
            return match_unknown_reason(p);
        if (rule->options & EFW_OFFLOADED)
            return offload_decide(ctx, p, rule);
        if (limit_allows(p, rule)) {
            count(&efw_counters, rule->counter, p->len);
            trace_detail(p, rule->counter + 1);
            if (rule->options & EFW_COPIED)
                tell_workers(ctx, p, rule, &efw_counters);
            if (rule->action != EFW_COUNT)
                return reason_of(rule->action, m.rule == m.rules);
        }
        match_next(p, &m, MATCH_DECIDE);
    }
    return EFW_SLOW_STEPS;
}

char LICENSE[] SEC("license") = "GPL";
