/* SPDX-License-Identifier: GPL-2.0-or-later */
/* elb: the ways in which packets get where they are to go, but for ELB_NAT: most packets are
 * rewritten by the stage itself. What these need beside a target is in the scratch.
 */
#pragma once
#include "vnfs/elb/tunnel.h"

/* Keeps the far end for forward_to(). A global function, as conn_establish(). */
__noinline int far_keep(struct elb_end *far)
{
    struct elb_scratch *s = scratch_get();

    if (!s)
        return 0;
    if (far)
        s->far = *far;
    return 0;
}

__noinline __u32 rewrite_both(struct frame_ctx *ctx)
{
    struct elb_scratch *s = scratch_get();
    struct pkt *p = pkt_get();

    if (!p || !s)
        return SLOW_L4_UNKNOWN;
    return rewrite(ctx, p, &s->target, &s->far);
}

/* Has the packet sent to the backend as it is (see pkt.via). */
static __always_inline __u32 direct(struct pkt *p, struct elb_scratch *s)
{
    p->via = s->target.addr;
    p->flags |= PKT_F_VIA;
    count_backend(p, &s->target);
    return ELB_NEXT_BACKEND;
}

/* What becomes of a packet whose target is `t`, or in the scratch: gives the stage's reason. */
__noinline __u32 forward_to(struct frame_ctx *ctx, struct elb_target *t)
{
    struct elb_scratch *s = scratch_get();
    struct pkt *p = pkt_get();
    __u32 reason;

    if (!p || !s)
        return SLOW_L4_UNKNOWN;
    if (t)
        s->target = *t;
    if (!ELB_ONE_WAY(s->target.forward))
        return rewrite_both(ctx);
    reason = backend_takes(ctx);
    if (reason != NEXT)
        return reason;
    if (s->limit)
        return too_big(ctx);
    return s->target.forward == ELB_DIRECT ? direct(p, s) : tunnel(ctx);
}
