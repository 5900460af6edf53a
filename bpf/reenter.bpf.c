// SPDX-License-Identifier: GPL-2.0-or-later
/* Where a packet that another slow path than the kernel had goes on with its chain:
 *
 *   tap   attached to the exit's interface: what comes in there goes on after place_slot
 *   xsk   run by the daemon (BPF_PROG_RUN, live frames): a batch says packet and slot
 */
#include "lib/batch.h"
#include "lib/parse.h"
#include "lib/stage.h"

const volatile __u32 reenter_ifindex = 0; /* where the tap's packets once came in */
/* The chain has only frames for this host: what is for many is a neighbour's talk. */
const volatile __u32 reenter_routed = 0;

static __always_inline int go_on(struct xdp_md *ctx, __u32 slot, __u32 ifindex)
{
    struct pkt *p = pkt_get();
    __u32 reason;

    if (!p)
        return XDP_DROP;
    p->slot = slot;
    p->ifindex = ifindex;
    p->port = EXIT_PORTS;
    trace_clock(p);
    reason = parse_frame(ctx, p, PARSE_QUOTED, 0);
    trace_begin(p, reason == NEXT);
    if (reason == NEXT) {
        csum_finish(ctx, p); /* no kernel knows any more that it is to be */
        return slot_go_on(ctx, p, NEXT_RESUMED);
    }
    /* Only IP packets went there: a neighbour's question is the kernel's, the rest
     * nobody's. */
    slot_count(ctx, p, reason);
    return (reason & VERDICT_MASK) == VERDICT_SLOW ? exit_to_kernel(ctx, false) : XDP_DROP;
}

SEC("xdp")
int reenter_tap(struct xdp_md *ctx)
{
    struct ethhdr *eth = frame_at(ctx, 0, sizeof(*eth));

    if (eth && reenter_routed && (eth->h_dest[0] & 1))
        return exit_to_kernel(ctx, false);
    return go_on(ctx, place_slot, reenter_ifindex);
}

SEC("xdp")
int reenter_xsk(struct xdp_md *ctx)
{
    __u32 place = batch_next(ctx);

    if (!place)
        return XDP_DROP;
    return go_on(ctx, place & PLACE_SLOT_MASK, ctx->ingress_ifindex);
}

char LICENSE[] SEC("license") = "GPL";
