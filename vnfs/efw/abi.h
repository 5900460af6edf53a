/* SPDX-License-Identifier: GPL-2.0-or-later */
/* efw: what its fast path and its C++ share. Its ruleset is in the tables of
 * abi/match.h. */
#pragma once
#include "abi/chain.h"

#define EFW_COUNTERS 2048 /* of the rules in force and of those they replace */

/* match_rule.action */
enum efw_action {
    EFW_ACCEPT = 0, /* go on with the chain */
    EFW_DROP = 1,
    EFW_SLOW = 2, /* give it to netfilter */
};

/* X(name in C, value, name for people, what it means) */
/* clang-format off */
#define EFW_REASONS(X) \
    X(EFW_NEXT_DEFAULT, VNF_REASON(VERDICT_NEXT, 0), "default_accept", "no rule matched; the default is accept") \
    X(EFW_DROP_RULE, VNF_REASON(VERDICT_DROP, 0), "rule_drop", "a rule says drop") \
    X(EFW_DROP_DEFAULT, VNF_REASON(VERDICT_DROP, 1), "default_drop", "no rule matched; the default is drop") \
    X(EFW_DROP_NO_TABLES, VNF_REASON(VERDICT_DROP, 2), "no_tables", "no ruleset is loaded: closed") \
    X(EFW_SLOW_RULE, VNF_REASON(VERDICT_SLOW, 0), "rule_slow", "a rule says slow") \
    X(EFW_SLOW_DEFAULT, VNF_REASON(VERDICT_SLOW, 1), "default_slow", "no rule matched: netfilter decides")
/* clang-format on */

enum efw_reason { EFW_REASONS(CHAIN_REASON_ENUM) };
