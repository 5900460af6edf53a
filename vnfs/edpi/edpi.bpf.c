// SPDX-License-Identifier: GPL-2.0-or-later
/* edpi: the classifier's fast path.
 *
 *   packet ──> its flow's slot (edpi_index) ── none ──> one of edpi_free
 *                │                                        └─ none ──> unaccounted
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
#include "vnfs/edpi/key.h"
#include "vnfs/edpi/policy.h"

/* The slots: whoever takes a number out of edpi_free has the slot. They are user space's
 * memory too, which ends flows. The daemon sets the sizes of these five. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 65536);
    __type(key, __u32);
    __type(value, struct edpi_flow);
    __uint(pinning, LIBBPF_PIN_BY_NAME);
} edpi_flows SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 65536);
    __type(key, __u32);
    __type(value, struct edpi_key);
    __uint(pinning, LIBBPF_PIN_BY_NAME);
} edpi_keys SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 65536);
    __type(key, __u32);
    __type(value, struct edpi_exported);
    __uint(pinning, LIBBPF_PIN_BY_NAME);
} edpi_exports SEC(".maps");

/* The slot of each flow. Only user space removes entries. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 65536);
    __type(key, struct edpi_key);
    __type(value, __u32);
    __uint(pinning, LIBBPF_PIN_BY_NAME);
} edpi_index SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_QUEUE);
    __uint(max_entries, 65536);
    __uint(key_size, 0);
    __uint(value_size, sizeof(__u32));
    __uint(pinning, LIBBPF_PIN_BY_NAME);
} edpi_free SEC(".maps");

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

/* After a daemon's death a number may be in edpi_free twice: only the first has the slot. */
static __always_inline bool slot_take(struct edpi_flow *flow)
{
    return __sync_val_compare_and_swap(&flow->state, EDPI_FREE, EDPI_NEW) == EDPI_FREE ||
           __sync_val_compare_and_swap(&flow->state, EDPI_DONE, EDPI_NEW) == EDPI_DONE;
}

/* A slot for a flow whose first packet this is; in `slot`. NULL if there is none. */
static __always_inline struct edpi_flow *flow_new(const struct edpi_key *key, __u32 from, __u64 now,
                                                  __u32 *slot)
{
    struct edpi_flow *flow;
    struct edpi_key *own;
    __u32 *other;

    if (bpf_map_pop_elem(&edpi_free, slot))
        return NULL;
    flow = bpf_map_lookup_elem(&edpi_flows, slot);
    own = bpf_map_lookup_elem(&edpi_keys, slot);
    if (!flow || !own || !slot_take(flow))
        return NULL;
    *own = *key;
    flow->first = now;
    flow->last = now;
    flow->seen = from ? EDPI_SEEN_FROM_1 : 0;
    __sync_val_compare_and_swap(&flow->state, EDPI_NEW, EDPI_OPEN);
    if (bpf_map_update_elem(&edpi_index, key, slot, BPF_NOEXIST) == 0)
        return flow;
    __sync_val_compare_and_swap(&flow->state, EDPI_OPEN, EDPI_SPARE);
    other = bpf_map_lookup_elem(&edpi_index, key);
    if (!other)
        return NULL;
    *slot = *other;
    return bpf_map_lookup_elem(&edpi_flows, slot);
}

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

static __always_inline void flow_count(const struct pkt *p, struct edpi_flow *flow, __u32 from,
                                       __u64 now)
{
    __u32 flags = (__u32)p->tcp_flags << EDPI_SEEN_FLAGS(from);

    __sync_fetch_and_add(from ? &flow->packets[1] : &flow->packets[0], 1);
    __sync_fetch_and_add(from ? &flow->bytes[1] : &flow->bytes[0], p->len);
    if (flow->last != now)
        flow->last = now;
    if ((flow->seen & flags) != flags)
        __sync_fetch_and_or(&flow->seen, flags);
}

/* Whether a flow that is known is kept from now on for what it has had. */
static __always_inline bool flow_has_grown(const struct edpi_settings *s, struct edpi_flow *flow)
{
    if (!s->kept_bytes || flow->state == EDPI_OPEN ||
        flow->bytes[0] + flow->bytes[1] < s->kept_bytes)
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
    if (!(standing & EDPI_KEPT) && flow_has_grown(s, flow))
        standing |= EDPI_KEPT;
    /* The kernel, or whoever is at a tap, may put fragments together: all go there. */
    if ((standing & EDPI_KEPT) && p->frag == PKT_FRAG_NONE)
        return NEXT;
    p->note = EDPI_NOTE(slot, flow->first);
    return EDPI_SLOW_INSPECT;
}

STAGE(edpi)
{
    struct edpi_key key = {};
    __u32 from = edpi_key_of(p, &key), slot = 0, zero = 0;
    __u32 *known = bpf_map_lookup_elem(&edpi_index, &key);
    const struct edpi_settings *s = bpf_map_lookup_elem(&edpi_setting, &zero);
    __u64 now = clock_ns();
    struct edpi_flow *flow;

    if (!s)
        return NEXT; /* never: the array has its one entry */
    if (known) {
        slot = *known;
        flow = bpf_map_lookup_elem(&edpi_flows, &slot);
    } else {
        flow = flow_new(&key, from, now, &slot);
    }
    if (!flow) {
        count(&edpi_unaccounted, 0, p->len);
        return s->mode == EDPI_CAPTURE ? EDPI_DROP_CAPTURED : NEXT;
    }
    flow_count(p, flow, from, now);
    return flow_decide(ctx, p, s, flow, slot, key.kind);
}

char LICENSE[] SEC("license") = "GPL";
