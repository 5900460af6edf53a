// SPDX-License-Identifier: GPL-2.0-or-later
/* The least that decides about a packet by its flow: read Ethernet, IP and TCP, look the
 * addresses and ports up. What a stage costs beyond this is its own.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "tools/bench/minimal.h"

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1); /* set before it is loaded */
    __type(key, struct minimal_key);
    __type(value, __u32);
} minimal_flows SEC(".maps");

SEC("xdp")
int minimal(struct xdp_md *ctx)
{
    void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
    struct minimal_key key = {};
    struct ethhdr *eth = data;
    struct tcphdr *tcp;
    __u32 *verdict;

    if ((void *)(eth + 1) > end)
        return XDP_ABORTED;
    if (eth->h_proto == bpf_htons(ETH_P_IP)) {
        struct iphdr *ip = (void *)(eth + 1);

        if ((void *)(ip + 1) > end || ip->ihl != 5 || ip->protocol != IPPROTO_TCP)
            return XDP_ABORTED;
        key.addresses[0] = ip->saddr;
        key.addresses[1] = ip->daddr;
        tcp = (void *)(ip + 1);
    } else {
        struct ipv6hdr *ip = (void *)(eth + 1);

        if ((void *)(ip + 1) > end || eth->h_proto != bpf_htons(ETH_P_IPV6) ||
            ip->nexthdr != IPPROTO_TCP)
            return XDP_ABORTED;
        __builtin_memcpy(key.addresses, &ip->saddr, sizeof key.addresses);
        tcp = (void *)(ip + 1);
    }
    if ((void *)(tcp + 1) > end)
        return XDP_ABORTED;
    key.sport = tcp->source;
    key.dport = tcp->dest;
    verdict = bpf_map_lookup_elem(&minimal_flows, &key);
    return verdict ? (int)*verdict : XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
