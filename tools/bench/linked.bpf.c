// SPDX-License-Identifier: GPL-2.0-or-later
/* root -> efw -> elb -> forward_route as one program: the stages' own sources, inlined one
 * after the other in a fixed order, without tail calls and without the table of successors.
 * For comparison only: would compiling a chain be worth it?
 */
#include "lib/stage.h"

/* No XDP verdict. */
#define LINKED_ON (-1)

/* In place of the tail call. Slots are numbered along the chain. */
static __always_inline int linked_leave(struct xdp_md *ctx, struct pkt *p, __u32 reason)
{
    if ((reason & VERDICT_MASK) != VERDICT_NEXT)
        return slot_leave(ctx, p, reason);
    slot_count(ctx, p, reason);
    p->slot++;
    return LINKED_ON;
}
#define slot_leave linked_leave

/* Each source brings its own. */
#define LICENSE root_license
int root(struct xdp_md *ctx) __attribute__((always_inline));
#include "root.bpf.c"
#undef LICENSE
#define LICENSE efw_license
#include "vnfs/efw/efw.bpf.c"
#undef LICENSE
#define LICENSE elb_license
#include "vnfs/elb/elb.bpf.c"
#undef LICENSE
#define LICENSE forward_license
int forward_route(struct xdp_md *ctx) __attribute__((always_inline));
#include "forward.bpf.c"

const volatile __u32 linked_slot = 0; /* the first; place_slot stays zero */

/* Functions, for the stack: what one has had, the next one has again. */
static __noinline int linked_root(struct xdp_md *ctx)
{
    return root(ctx);
}
static __noinline int linked_efw(struct xdp_md *ctx, struct pkt *p)
{
    return linked_leave(ctx, p, efw_stage(ctx, p));
}
static __noinline int linked_elb(struct xdp_md *ctx, struct pkt *p)
{
    return linked_leave(ctx, p, elb_stage(ctx, p));
}
static __noinline int linked_forward(struct xdp_md *ctx)
{
    return forward_route(ctx);
}

SEC("xdp")
int linked(struct xdp_md *ctx)
{
    struct pkt *p = pkt_get();
    int action;

    if (!p)
        return XDP_DROP;
    p->slot = linked_slot;
    action = linked_root(ctx);
    if (action != LINKED_ON)
        return action;
    action = linked_efw(ctx, p);
    if (action != LINKED_ON)
        return action;
    action = linked_elb(ctx, p);
    if (action != LINKED_ON)
        return action;
    return linked_forward(ctx);
}
