// SPDX-License-Identifier: GPL-2.0-or-later
/* The ends: the last slot of a packet's way.
 *
 *   route    next hop of the destination, or what a stage has chosen -> TTL - 1, MACs -> redirect
 *   wire     frame as it is -> the port at the wire's other end
 *   hairpin  frame as it is -> MACs swapped -> back out of the same port
 *   host     the kernel
 *   drop     nowhere
 *
 * What only the kernel does (answering with ICMP errors, options, fragmentation,
 * resolving neighbours, local delivery) is given to the kernel, unchanged.
 */
#include <linux/if_ether.h>

#include "lib/csum.h"
#include "lib/hop.h"
#include "lib/nexthop.h"
#include "lib/stage.h"

/* The other end of a wire, by the slot of the forwarder: ifindex. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, CHAIN_MAX_SLOTS);
    __type(key, __u32);
    __type(value, __u32);
} wire_peers SEC(".maps");

/* Addresses that no router simply forwards (RFC 1812 section 5.3.7, RFC 4291
 * section 2.5, 2.7; an IPv4-mapped address has no business on an IPv6 wire). */
static __always_inline bool v4_special(__be32 addr)
{
    __u8 first = bpf_ntohl(addr) >> 24;

    return first == 0 || first == 127 || first >= 224;
}

static __always_inline bool v6_special(const struct ip_addr *a)
{
    __u32 high = bpf_ntohl(a->w[0]);

    return (high >> 24) == 0xff || (high >> 22) == (0xfe80 >> 6) ||
           (a->w[0] == 0 && a->w[1] == 0 && (a->w[2] == bpf_htonl(0xffff) || a->w[2] == 0));
}

static __always_inline bool special_address(const struct flow_key *f)
{
    if (f->family == 4)
        return v4_special(f->saddr.w[3]) || v4_special(f->daddr.w[3]);
    return v6_special(&f->saddr) || v6_special(&f->daddr);
}

/* By redirect also where the way out is the way in: XDP_TX out of a veth whose far end
 * has GRO but no XDP program leaves the frame in its ring (veth_xdp_flush() in Linux up
 * to 6.18 wakes only a peer with a program). */
static __always_inline int transmit(struct xdp_md *ctx, struct pkt *p, __u32 ifindex)
{
    slot_count(ctx, p, FWD_REDIRECT);
    return bpf_redirect_map(&transmit_ports, ifindex, XDP_DROP);
}

/* Counts the reason; what is not dropped is the kernel's, for good. */
static __always_inline int end_leave(struct xdp_md *ctx, struct pkt *p, __u32 reason)
{
    slot_count(ctx, p, reason);
    return (reason & VERDICT_MASK) == VERDICT_SLOW ? exit_to_kernel(ctx, true) : XDP_DROP;
}

/* Of a packet whose next hop a stage has chosen, the kernel would only know its destination. */
static __always_inline int route_leave(struct xdp_md *ctx, struct pkt *p, __u32 reason)
{
    return end_leave(ctx, p, p->flags & PKT_F_VIA ? FWD_DROP_VIA : reason);
}

SEC("xdp")
int forward_route(struct xdp_md *ctx)
{
    struct pkt *p = pkt_get();
    struct nexthop nh = {};
    struct ethhdr *eth;
    __u32 reason;

    if (!p)
        return XDP_DROP;
    if (p->flags & PKT_F_ROUTER)
        return route_leave(ctx, p, FWD_SLOW_OPTIONS);
    if (p->vlans)
        return route_leave(ctx, p, FWD_SLOW_VLAN);
    if (special_address(&p->flow))
        return route_leave(ctx, p, FWD_SLOW_ADDRESS);
    reason = nexthop_find(ctx, p, &nh);
    if (reason != FWD_REDIRECT)
        return route_leave(ctx, p, reason);
    if (p->ttl <= 1)
        return route_leave(ctx, p, FWD_SLOW_TTL);

    if (!csum_send(ctx, p))
        return route_leave(ctx, p, SLOW_L4_UNKNOWN);
    eth = frame_at(ctx, 0, sizeof(*eth));
    if (!eth || !hop_count(ctx, p))
        return route_leave(ctx, p, SLOW_L4_UNKNOWN);
    __builtin_memcpy(eth->h_dest, nh.dmac, sizeof(eth->h_dest));
    __builtin_memcpy(eth->h_source, nh.smac, sizeof(eth->h_source));
    return transmit(ctx, p, nh.ifindex);
}

SEC("xdp")
int forward_wire(struct xdp_md *ctx)
{
    struct pkt *p = pkt_get();
    __u32 *peer;

    if (!p)
        return XDP_DROP;
    peer = bpf_map_lookup_elem(&wire_peers, &p->slot);
    if (!peer || *peer == 0)
        return end_leave(ctx, p, FWD_DROP_NO_PEER);
    if (!csum_send(ctx, p))
        return end_leave(ctx, p, SLOW_L4_UNKNOWN);
    return transmit(ctx, p, *peer);
}

SEC("xdp")
int forward_hairpin(struct xdp_md *ctx)
{
    struct pkt *p = pkt_get();
    __u8 mac[ETH_ALEN];
    struct ethhdr *eth;

    if (!p)
        return XDP_DROP;
    if (!csum_send(ctx, p))
        return end_leave(ctx, p, SLOW_L4_UNKNOWN);
    eth = frame_at(ctx, 0, sizeof(*eth));
    if (!eth)
        return end_leave(ctx, p, DROP_LINK_CUT);
    __builtin_memcpy(mac, eth->h_dest, sizeof(mac));
    __builtin_memcpy(eth->h_dest, eth->h_source, sizeof(mac));
    __builtin_memcpy(eth->h_source, mac, sizeof(mac));
    return transmit(ctx, p, p->ifindex);
}

/* "host": the kernel gets the packet. */
SEC("xdp")
int end_host(struct xdp_md *ctx)
{
    struct pkt *p = pkt_get();

    return p ? end_leave(ctx, p, FWD_HOST) : XDP_DROP;
}

/* "drop" */
SEC("xdp")
int end_drop(struct xdp_md *ctx)
{
    struct pkt *p = pkt_get();

    return p ? end_leave(ctx, p, FWD_DROP_CHAIN) : XDP_DROP;
}

char LICENSE[] SEC("license") = "GPL";
