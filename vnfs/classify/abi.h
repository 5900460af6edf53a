/* SPDX-License-Identifier: GPL-2.0-or-later */
/* classify: what its fast path and its C++ share.
 *
 * Its rules only match; the number of the first that does is the reason with which
 * the packet goes on, so that the chain can lead each kind its own way. A rule's
 * match_rule.action is that number, CLASSIFY_OTHERWISE's is CLASSIFY_MAX_RULES.
 *
 * Nothing goes slow here, even where it cannot be known whether a rule matches. All
 * fragments of a datagram must go the same way, and only the first has ports: so a
 * rule that asks for ports matches no fragment, the first no more than the later
 * ones. Where layer 4 is malformed no rule that asks for ports matches either, and
 * where extension headers hide what it is, none that asks for a protocol. Such a
 * packet goes on with the next rules, as if the rule did not match.
 */
#pragma once
#include "abi/chain.h"

#define CLASSIFY_MAX_RULES 7 /* a verdict has eight reasons; the last is "otherwise" */

/* X(name in C, value, name for people, what it means) */
/* clang-format off */
#define CLASSIFY_REASONS(X) \
    X(CLASSIFY_NEXT_0, VNF_REASON(VERDICT_NEXT, 0), "rule1", "the first rule matched") \
    X(CLASSIFY_NEXT_1, VNF_REASON(VERDICT_NEXT, 1), "rule2", "the second rule matched") \
    X(CLASSIFY_NEXT_2, VNF_REASON(VERDICT_NEXT, 2), "rule3", "the third rule matched") \
    X(CLASSIFY_NEXT_3, VNF_REASON(VERDICT_NEXT, 3), "rule4", "the fourth rule matched") \
    X(CLASSIFY_NEXT_4, VNF_REASON(VERDICT_NEXT, 4), "rule5", "the fifth rule matched") \
    X(CLASSIFY_NEXT_5, VNF_REASON(VERDICT_NEXT, 5), "rule6", "the sixth rule matched") \
    X(CLASSIFY_NEXT_6, VNF_REASON(VERDICT_NEXT, 6), "rule7", "the seventh rule matched") \
    X(CLASSIFY_OTHERWISE, VNF_REASON(VERDICT_NEXT, CLASSIFY_MAX_RULES), "otherwise", "no rule matched") \
    X(CLASSIFY_DROP_NO_TABLES, VNF_REASON(VERDICT_DROP, 0), "no_tables", "no ruleset is loaded: closed")
/* clang-format on */

enum classify_reason { CLASSIFY_REASONS(CHAIN_REASON_ENUM) };
