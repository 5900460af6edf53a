// SPDX-License-Identifier: GPL-2.0-or-later
/* edpi: the classifier's fast path.
 *
 *   packet ──> its flow's slot (slots.h) ── none ──> one of edpi_free
 *                │                                     └─ none ──> unaccounted
 *                ├─ counted
 *                ├─ its flow's policy (policy.h)? ──> dropped, marked, another way
 *                ├─ not classified yet, and one of the first? ──> a copy for the workers
 *                ├─ not one that is kept here? ──> the slow path, if the mode has one
 *                └──> next (or the end, of a mirror's packets)
 *
 * Whatever happens to its accounting or its copy, the packet goes on.
 */
#include <linux/in.h>

#include "lib/clock.h"
#include "lib/stage.h"
#include "vnfs/edpi/policy.h"
#include "vnfs/edpi/slots.h"

/* Packets whose flow has no slot. */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct counter);
    __uint(pinning, LIBBPF_PIN_BY_NAME);
} edpi_unaccounted SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct edpi_book);
    __uint(pinning, LIBBPF_PIN_BY_NAME);
} edpi_books SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct edpi_settings);
} edpi_setting SEC(".maps");

/* Workers get the first packets until they know what the flow is: copies, unless they get
 * the packets themselves. */
static __always_inline void flow_sample(struct frame_ctx *ctx, const struct pkt *p,
                                        const struct edpi_settings *s, struct edpi_flow *flow,
                                        __u32 slot)
{
    __u32 most = p->flow.proto == IPPROTO_TCP ? s->tcp_packets : s->other_packets;

    if ((flow->copied & EDPI_COPIED) >= most)
        return;
    __sync_fetch_and_add(&flow->copied, 1);
    if (s->mode != EDPI_XSK && !copy_send(ctx, s->snapshot, 0, slot))
        __sync_fetch_and_or(&flow->seen, EDPI_SEEN_COPY_LOST);
}

/* Whether a flow that is known is kept from now on for what it has had. */
static __always_inline bool flow_has_grown(const struct edpi_settings *s, struct edpi_flow *flow,
                                           __u32 slot)
{
    const struct edpi_counts *others = bpf_map_lookup_elem(&edpi_others, &slot);

    if (!others || !s->kept_bytes || flow->state == EDPI_OPEN ||
        flow->bytes[0] + flow->bytes[1] + others->bytes[0] + others->bytes[1] < s->kept_bytes)
        return false;
    __sync_fetch_and_or(&flow->copied, EDPI_KEPT);
    return true;
}

static __always_inline __u32 flow_decide(struct frame_ctx *ctx, struct pkt *p,
                                         const struct edpi_settings *s, struct edpi_flow *flow,
                                         __u32 slot, __u8 kind)
{
    __u32 standing = flow->copied, reason = NEXT;

    if (__builtin_expect(standing & EDPI_POLICY, 0) && s->mode != EDPI_CAPTURE) {
        reason = policy_act(ctx, p, (standing & EDPI_POLICY) >> EDPI_POLICY_SHIFT);
        if ((reason & VERDICT_MASK) != VERDICT_NEXT)
            return reason;
    }
    if (flow->state == EDPI_OPEN && kind <= EDPI_NO_PORTS)
        flow_sample(ctx, p, s, flow, slot);
    if (s->mode < EDPI_STACK || reason != NEXT)
        return s->mode == EDPI_CAPTURE ? EDPI_DROP_CAPTURED : reason;
    if (!(standing & EDPI_KEPT) && flow_has_grown(s, flow, slot))
        standing |= EDPI_KEPT;
    /* The kernel, or whoever is at a tap, may put fragments together: all go there. */
    if ((standing & EDPI_KEPT) && p->frag == PKT_FRAG_NONE)
        return NEXT;
    p->note = EDPI_NOTE(slot, flow->first);
    return EDPI_SLOW_INSPECT;
}

STAGE(edpi)
{
    __u32 zero = 0, number = 0, from = 0;
    const struct edpi_settings *s = bpf_map_lookup_elem(&edpi_setting, &zero);
    __u64 now = clock_ns(), hash = pkt_hash(p);
    struct edpi_slot *slot = line_find(p, hash, &number, &from);

    if (!s)
        return NEXT; /* never: the array has its one entry */
    if (!slot) {
        number = slot_find(p, hash, now) - 1;
        slot = bpf_map_lookup_elem(&edpi_slots, &number); /* of 0 - 1 there is none */
        from = edpi_end_of(&p->flow);
    }
    if (!slot) {
        count(&edpi_unaccounted, 0, p->len);
        return s->mode == EDPI_CAPTURE ? EDPI_DROP_CAPTURED : NEXT;
    }
    slot_account(p, slot, number, from, now);
    return flow_decide(ctx, p, s, &slot->flow, number, edpi_kind_of(p));
}

char LICENSE[] SEC("license") = "GPL";
