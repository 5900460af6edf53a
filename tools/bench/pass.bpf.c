// SPDX-License-Identifier: GPL-2.0-or-later
/* Lets everything in. A veth hands on its sender's buffer, which no wire does; one that has a
 * program makes a packet of its own of each frame, as a NIC's driver does. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("xdp")
int pass(struct xdp_md *ctx)
{
    return ctx ? XDP_PASS : XDP_ABORTED;
}

char LICENSE[] SEC("license") = "GPL";
