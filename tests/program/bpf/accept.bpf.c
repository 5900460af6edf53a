// SPDX-License-Identifier: GPL-2.0-or-later
/* Somebody else's tc program, which takes every packet for its own: as a side effect of
 * TC_ACT_OK the kernel sets skb->tc_index. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

SEC("tc")
int accept(struct __sk_buff *ctx)
{
    return ctx ? TC_ACT_OK : TC_ACT_SHOT;
}

char LICENSE[] SEC("license") = "GPL";
