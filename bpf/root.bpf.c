// SPDX-License-Identifier: GPL-2.0-or-later
/* The root: the one program attached to an interface, where each packet starts.
 *
 *   frame -> parse once (pkt_scratch) -> for us? -> first stage of the chain
 *                 |                        |
 *                 `-- malformed: drop      `-- stack
 *                 `-- not IP: stack, or along the wire
 *
 * One copy is loaded for each interface, with these constants set before.
 */
#include "lib/parse.h"
#include "lib/stage.h"

/* enum parse_depth */
const volatile __u32 root_depth = PARSE_QUOTED;
const volatile __u32 root_port = 0; /* see pkt.port */

/* A wire carries what is not IP (ARP, spanning tree, …) too: the forwarder's slot,
 * or 0 for the stack. */
const volatile __u32 root_not_ip_slot = 0;
/* Where the chain routes, it takes only frames sent to this interface's address;
 * a wire takes all. The rest is the stack's, as in any router. */
const volatile bool root_check_mac = false;
const volatile __u8 root_mac[8] = {}; /* the first six */

static __always_inline bool for_us(struct xdp_md *ctx)
{
    struct ethhdr *eth = frame_at(ctx, 0, sizeof(*eth));

    return eth && eth->h_dest[0] == root_mac[0] && eth->h_dest[1] == root_mac[1] &&
           eth->h_dest[2] == root_mac[2] && eth->h_dest[3] == root_mac[3] &&
           eth->h_dest[4] == root_mac[4] && eth->h_dest[5] == root_mac[5];
}

SEC("xdp")
int root(struct xdp_md *ctx)
{
    struct pkt *p = pkt_get();
    __u32 reason;

    if (!p)
        return XDP_DROP;
    p->ifindex = ctx->ingress_ifindex;
    p->port = root_port;
    trace_clock(p);
    reason = parse_frame(ctx, p, root_depth, 0);
    trace_begin(p, reason == NEXT);
    if (reason == SLOW_NOT_IP && root_not_ip_slot)
        return slot_goto(ctx, p, NEXT, root_not_ip_slot);
    if (reason == NEXT && root_check_mac && !for_us(ctx))
        reason = SLOW_NOT_OUR_MAC;
    if ((reason & VERDICT_MASK) == VERDICT_SLOW) { /* never was in the chain */
        slot_count(ctx, p, reason);
        return exit_to_kernel(ctx, false);
    }
    return slot_leave(ctx, p, reason);
}

char LICENSE[] SEC("license") = "GPL";
