// SPDX-License-Identifier: GPL-2.0-or-later
/* A test run's second packet is what the program made of the first. This stands before the
 * program that is measured, and gives it the frame as it was, of the next flow.
 *
 * It takes the time too. The kernel would tell only that of a whole run, in whole
 * nanoseconds, and each run costs two RCU grace periods: too long for many short ones.
 */
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>

#include "lib/csum.h"
#include "tools/bench/rewind.h"

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct rewind_state);
} rewind_states SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct rewind_samples);
} rewind_taken SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u32);
} rewind_target SEC(".maps");

struct rewind_headers {
    struct ethhdr eth;
    struct iphdr ip;
    struct tcphdr tcp;
} __attribute__((packed));

struct rewind_headers6 {
    struct ethhdr eth;
    struct ipv6hdr ip;
    struct tcphdr tcp;
} __attribute__((packed));

static __always_inline __be16 flow_port(__u32 flow)
{
    return bpf_htons(REWIND_FIRST_PORT + (flow & ((1 << REWIND_PORTS_SHIFT) - 1)));
}

/* Of the flow's client: the last word, from that of flow 0. */
static __always_inline __be32 flow_addr(__be32 first, __u32 flow)
{
    return bpf_htonl(bpf_ntohl(first) + (flow >> REWIND_PORTS_SHIFT));
}

/* Checksums stay right: a wrong one could pass for a partial one, which costs more. */
static __always_inline void set_flow(struct rewind_headers *h, __u32 flow)
{
    __be16 port = flow_port(flow);
    __be32 addr = flow_addr(h->ip.saddr, flow);
    __u64 addr_delta = (__u64)(__u32)~h->ip.saddr + addr;

    h->ip.check = csum_update(h->ip.check, addr_delta);
    h->tcp.check = csum_update(h->tcp.check, addr_delta + csum_delta16(h->tcp.source, port));
    h->ip.saddr = addr;
    h->tcp.source = port;
}

static __always_inline void set_flow6(struct rewind_headers6 *h, __u32 flow)
{
    __be16 port = flow_port(flow);
    __be32 old = h->ip.saddr.in6_u.u6_addr32[3], addr = flow_addr(old, flow);

    h->tcp.check =
        csum_update(h->tcp.check, (__u64)(__u32)~old + addr + csum_delta16(h->tcp.source, port));
    h->ip.saddr.in6_u.u6_addr32[3] = addr;
    h->tcp.source = port;
}

static __always_inline void look_at_clock(struct rewind_state *s)
{
    __u64 now = bpf_ktime_get_ns();
    __u32 zero = 0, sample = s->looks - 1;
    struct rewind_samples *taken = bpf_map_lookup_elem(&rewind_taken, &zero);

    if (taken && sample < REWIND_SAMPLES)
        taken->ns[sample] = now - s->last;
    s->looks++;
    s->last = now;
    s->until = REWIND_PACKETS;
}

SEC("xdp")
int rewind_frame(struct xdp_md *ctx)
{
    void *data, *end;
    __u32 zero = 0;
    struct rewind_state *s = bpf_map_lookup_elem(&rewind_states, &zero);

    if (!s)
        return XDP_ABORTED;
    /* What was put before the frame, as a tunnel's header. */
    if (frame_len(ctx) != s->len && bpf_xdp_adjust_head(ctx, frame_len(ctx) - s->len))
        return XDP_ABORTED;
    data = (void *)(long)ctx->data;
    end = (void *)(long)ctx->data_end;
    if (data + REWIND_HEAD > end)
        return XDP_ABORTED;
    if (s->until == 0)
        look_at_clock(s);
    s->until--;
    __builtin_memcpy(data, s->head, REWIND_HEAD);
    if (((struct ethhdr *)data)->h_proto == bpf_htons(ETH_P_IP)) {
        set_flow(data, s->flow);
    } else {
        if (data + REWIND_HEAD6 > end)
            return XDP_ABORTED;
        __builtin_memcpy(data + REWIND_HEAD, s->head + REWIND_HEAD, REWIND_HEAD6 - REWIND_HEAD);
        set_flow6(data, s->flow);
    }
    s->flow += s->stride;
    if (s->flow >= s->flows)
        s->flow -= s->flows;
    bpf_tail_call(ctx, &rewind_target, 0);
    return XDP_ABORTED;
}

/* The floor: what the measurement itself costs. */
SEC("xdp")
int empty(struct xdp_md *ctx __attribute__((unused)))
{
    return XDP_DROP;
}

char LICENSE[] SEC("license") = "GPL";
