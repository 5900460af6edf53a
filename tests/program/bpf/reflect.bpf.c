// SPDX-License-Identifier: GPL-2.0-or-later
/* A function at the far end of a tap: every frame comes back as it is. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("xdp")
int reflect(struct xdp_md *ctx)
{
    return ctx ? XDP_TX : XDP_DROP;
}

char LICENSE[] SEC("license") = "GPL";
