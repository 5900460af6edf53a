// SPDX-License-Identifier: GPL-2.0-or-later
/* Where a packet that the kernel had as slow path goes on with its chain (abi/place.h):
 *
 *   tc ingress, on interfaces with a chain:   metadata -> skb->tc_index
 *   tc egress, on every interface:            place -> parse -> the slot after it -> …
 *
 * The stages are the same sources as in XDP, built for tc; the ends are here. A packet
 * whose destination no stage has changed leaves as the kernel routed it.
 */
#include <linux/pkt_cls.h>

#include "lib/fib.h"
#include "lib/parse.h"
#include "lib/stage.h"

#define PACKET_HOST 0 /* <linux/if_packet.h> */
#define PACKET_OTHERHOST 3
#define RESUME_LINEAR (PKT_MAX_HEADERS + 128) /* headers that stages may look at */

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 2 * EXIT_PORTS);
    __type(key, __u32);
    __type(value, struct place_guard);
} place_guards SEC(".maps");

/* By generation (PLACE_GENERATIONS): whether an older one has its filter here yet, for the
 * packets that have a place in it. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, PLACE_GENERATIONS);
    __type(key, __u32);
    __type(value, __u32);
} place_generations SEC(".maps");

/* The destination that the kernel has routed the packet to. */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct ip_addr);
} resume_routed SEC(".maps");

SEC("tc")
int place_take(struct __sk_buff *ctx)
{
    struct place_meta *m = (void *)(long)ctx->data_meta;
    struct place_guard *guard;
    __u32 ifindex = ctx->ifindex;
    bool in_chain;

    if ((void *)(m + 1) > (void *)(long)ctx->data || m->magic != PLACE_META_MAGIC) {
        ctx->tc_index = 0; /* whatever another network namespace left */
        return TC_ACT_UNSPEC;
    }
    in_chain = (m->place & PLACE_SLOT_MASK) || m->bucket;
    ctx->tc_index = m->place;
    guard = bpf_map_lookup_elem(&place_guards, &ifindex);
    if (!guard)
        return TC_ACT_UNSPEC;
    if (!guard->armed)
        guard->armed = 1;
    /* A slow path before this one may have left it with the MACs of the way out. */
    if (guard->routed && in_chain && ctx->pkt_type == PACKET_OTHERHOST)
        bpf_skb_change_type(ctx, PACKET_HOST);
    return TC_ACT_UNSPEC;
}

/* A packet without a place. The host's own came in nowhere. */
static __always_inline int without_place(struct __sk_buff *ctx)
{
    __u32 ifindex = ctx->ingress_ifindex;
    struct place_guard *guard = ifindex ? bpf_map_lookup_elem(&place_guards, &ifindex) : NULL;

    if (!guard || !guard->armed)
        return TC_ACT_UNSPEC;
    count(&slot_counters, guard->slot * CHAIN_MAX_REASONS + DROP_PLACE_LOST, ctx->len);
    return TC_ACT_SHOT;
}

/* A place in another generation than this filter's. */
static __always_inline int other_place(struct __sk_buff *ctx, __u32 place)
{
    __u32 generation = place >> PLACE_GENERATION_SHIFT & (PLACE_GENERATIONS - 1);
    __u32 *there = bpf_map_lookup_elem(&place_generations, &generation);
    __u32 slot = place & PLACE_SLOT_MASK;

    if ((place ^ chain_place_tag) & PLACE_OWNER_MASK)
        return TC_ACT_UNSPEC; /* another evnfd's */
    if (!slot || (there && *there))
        return TC_ACT_UNSPEC; /* the chain is over, or the other filter comes next */
    count(&slot_counters, slot * CHAIN_MAX_REASONS + DROP_PLACE_LOST, ctx->len);
    return TC_ACT_SHOT;
}

static __always_inline bool keep_routed(const struct pkt *p)
{
    __u32 zero = 0;
    struct ip_addr *routed = bpf_map_lookup_elem(&resume_routed, &zero);

    if (routed)
        *routed = p->flow.daddr;
    return routed != NULL;
}

static __always_inline int go_on(struct __sk_buff *ctx, __be16 network)
{
    __u32 place = ctx->tc_index;
    struct pkt *p;
    __u32 reason;

    if ((place & PLACE_MAGIC) != PLACE_MAGIC)
        return without_place(ctx);
    if ((place & PLACE_TAG_MASK) != chain_place_tag)
        return other_place(ctx, place);
    if (!(place & PLACE_SLOT_MASK))
        return TC_ACT_UNSPEC;
    ctx->tc_index = chain_place_tag; /* goes on once, though it may be sent on from here */
    p = pkt_get();
    if (!p)
        return TC_ACT_SHOT;
    bpf_skb_pull_data(ctx, ctx->len < RESUME_LINEAR ? ctx->len : RESUME_LINEAR);
    p->slot = place & PLACE_SLOT_MASK;
    p->ifindex = ctx->ingress_ifindex;
    p->port = EXIT_PORTS;
    trace_clock(p);
    reason = parse_frame(ctx, p, PARSE_QUOTED, network);
    trace_begin(p, reason == NEXT);
    if (reason != NEXT || !keep_routed(p)) {
        /* The slow path made something of it that the chain cannot look at. */
        slot_count(ctx, p, reason == SLOW_NOT_IP ? DROP_IP_HEADER : reason);
        return TC_ACT_SHOT;
    }
    return slot_go_on(ctx, p, NEXT_RESUMED);
}

SEC("tc")
int resume(struct __sk_buff *ctx)
{
    return go_on(ctx, 0);
}

/* On interfaces whose frames start with the IP header. */
SEC("tc")
int resume_bare(struct __sk_buff *ctx)
{
    return go_on(ctx, ctx->protocol);
}

static __always_inline int leave(struct __sk_buff *ctx, struct pkt *p, __u32 reason, int action)
{
    slot_count(ctx, p, reason);
    return action;
}

static __always_inline bool rerouted(const struct pkt *p)
{
    __u32 zero = 0;
    struct ip_addr *routed = bpf_map_lookup_elem(&resume_routed, &zero);

    if (p->flags & PKT_F_VIA)
        return true;
    return routed && (routed->w[0] != p->flow.daddr.w[0] || routed->w[1] != p->flow.daddr.w[1] ||
                      routed->w[2] != p->flow.daddr.w[2] || routed->w[3] != p->flow.daddr.w[3]);
}

static __always_inline int to_neighbour(struct __sk_buff *ctx, struct pkt *p,
                                        const struct bpf_fib_lookup *fib, long found)
{
    struct bpf_redir_neigh hop = {.nh_family = fib->family};

    if ((found != BPF_FIB_LKUP_RET_SUCCESS && found != BPF_FIB_LKUP_RET_NO_NEIGH) ||
        !fib_is_neighbour(fib, p))
        return leave(ctx, p, FWD_DROP_VIA, TC_ACT_SHOT);
    if (p->flow.family == 4)
        hop.ipv4_nh = p->via.w[3];
    else
        __builtin_memcpy(hop.ipv6_nh, &p->via, sizeof(hop.ipv6_nh));
    return leave(ctx, p, FWD_REROUTED, bpf_redirect_neigh(fib->ifindex, &hop, sizeof(hop), 0));
}

/* "out" */
SEC("tc")
int end_route(struct __sk_buff *ctx)
{
    struct bpf_fib_lookup fib = {};
    struct pkt *p = pkt_get();
    long found;

    if (!p)
        return TC_ACT_SHOT;
    if (!rerouted(p))
        return leave(ctx, p, FWD_KERNEL, TC_ACT_UNSPEC);
    fib_question(&fib, p);
    found = bpf_fib_lookup(ctx, &fib, sizeof(fib), 0); /* checks the MTU, of segments too */
    if (p->flags & PKT_F_VIA)
        return to_neighbour(ctx, p, &fib, found);
    if (found != BPF_FIB_LKUP_RET_SUCCESS && found != BPF_FIB_LKUP_RET_NO_NEIGH)
        return leave(ctx, p, FWD_DROP_NO_ROUTE, TC_ACT_SHOT);
    return leave(ctx, p, FWD_REROUTED, bpf_redirect_neigh(fib.ifindex, NULL, 0, 0));
}

/* "wire", "hairpin", "host": the kernel knows where it goes. */
SEC("tc")
int end_kernel(struct __sk_buff *ctx)
{
    struct pkt *p = pkt_get();

    return p ? leave(ctx, p, FWD_KERNEL, TC_ACT_UNSPEC) : TC_ACT_SHOT;
}

/* "drop" */
SEC("tc")
int end_chain_drop(struct __sk_buff *ctx)
{
    struct pkt *p = pkt_get();

    return p ? leave(ctx, p, FWD_DROP_CHAIN, TC_ACT_SHOT) : TC_ACT_SHOT;
}

char LICENSE[] SEC("license") = "GPL";
