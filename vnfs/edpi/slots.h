/* SPDX-License-Identifier: GPL-2.0-or-later */
/* edpi: the slots of flows; how a packet finds its flow's, and is counted there. */
#pragma once
#include "lib/lines.h"
#include "lib/stage.h"
#include "vnfs/edpi/key.h"

/* The slots: whoever takes a number out of edpi_free has the slot. They are user space's
 * memory too, which ends flows. The daemon sets the sizes of these. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 65536);
    __type(key, __u32);
    __type(value, struct edpi_slot);
    __uint(pinning, LIBBPF_PIN_BY_NAME);
} edpi_slots SEC(".maps");

/* What other CPUs have counted of a slot's flow than edpi_slot.cpu. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 65536);
    __type(key, __u32);
    __type(value, struct edpi_counts);
    __uint(pinning, LIBBPF_PIN_BY_NAME);
} edpi_others SEC(".maps");

/* What of a slot's flow is in records already. User space's alone. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 65536);
    __type(key, __u32);
    __type(value, struct edpi_counts);
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

/* Set before loading, as the sizes of the maps are: lines, a power of two. */
const volatile __u32 edpi_lines_all = 1;

/* In front of the index, which costs a hash of 48 bytes and three cache lines. All CPUs have the
 * same lines, and a way is believed as far as its slot says the same. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE); /* begins on a page, so no line lies in two */
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct edpi_line);
} edpi_lines SEC(".maps");

static __always_inline bool key_end_is(const struct edpi_key *k, int end, const struct ip_addr *a,
                                       __be16 port)
{
    const struct ip_addr *own = &k->addr[end];

    return own->w[3] == a->w[3] && k->port[end] == port &&
           (k->family == 4 ||
            (own->w[0] == a->w[0] && own->w[1] == a->w[1] && own->w[2] == a->w[2]));
}

/* Whether the packet is of the flow with this key, and from which end. */
static __always_inline bool key_is(const struct edpi_key *k, const struct pkt *p, __u32 *from)
{
    const struct flow_key *f = &p->flow;

    if (k->proto != f->proto || k->family != f->family || k->kind != edpi_kind_of(p) ||
        k->vlan[0] != pkt_vlan_of(p, 0) || k->vlan[1] != pkt_vlan_of(p, 1))
        return false;
    *from = !(key_end_is(k, 0, &f->saddr, f->sport) && key_end_is(k, 1, &f->daddr, f->dport));
    return !*from ||
           (key_end_is(k, 1, &f->saddr, f->sport) && key_end_is(k, 0, &f->daddr, f->dport));
}

static __always_inline bool is_flows(__u32 state)
{
    return state - EDPI_OPEN <= EDPI_GIVEN_UP - EDPI_OPEN;
}

/* The slot of the packet's flow as a line has it, if that still is the flow's; its number in
 * `number`, and the packet's end in `from`. */
static __always_inline struct edpi_slot *line_find(const struct pkt *p, __u64 hash, __u32 *number,
                                                   __u32 *from)
{
    __u32 i = line_place(hash, edpi_lines_all, false), tag = hash, found = 0;
    const struct edpi_line *l = bpf_map_lookup_elem(&edpi_lines, &i);
    struct edpi_slot *slot;

    if (!l)
        return NULL;
    for (int k = 0; k < EDPI_LINE_WAYS; k++) {
        __u64 way = l->way[k];

        if (way >> 32 == tag) {
            found = way;
            break;
        }
    }
    if (!found)
        return NULL;
    *number = found - 1;
    slot = bpf_map_lookup_elem(&edpi_slots, number);
    /* The state before the key: who ends a flow says so, and waits for the packets that have
     * not seen it, before another's key is there. */
    if (!slot || !is_flows(*(volatile __u32 *)&slot->flow.state) || !key_is(&slot->key, p, from))
        return NULL;
    return slot;
}

static __always_inline void line_keep(__u64 hash, __u32 number)
{
    __u32 i = line_place(hash, edpi_lines_all, false), tag = hash;
    struct edpi_line *l = bpf_map_lookup_elem(&edpi_lines, &i);
    __u32 way = bpf_get_prandom_u32();

    if (!l)
        return;
    for (int k = EDPI_LINE_WAYS - 1; k >= 0; k--)
        if (!l->way[k] || l->way[k] >> 32 == tag)
            way = k;
    l->way[way & (EDPI_LINE_WAYS - 1)] = EDPI_WAY(tag, number);
}

/* After a daemon's death a number may be in edpi_free twice: only the first has the slot. */
static __always_inline bool slot_take(struct edpi_flow *flow)
{
    return __sync_val_compare_and_swap(&flow->state, EDPI_FREE, EDPI_NEW) == EDPI_FREE ||
           __sync_val_compare_and_swap(&flow->state, EDPI_DONE, EDPI_NEW) == EDPI_DONE;
}

/* A slot for a flow whose first packet this is; its number, and one. 0: there is none. */
static __always_inline __u32 slot_new(const struct edpi_key *key, __u32 from, __u64 now)
{
    struct edpi_slot *slot;
    __u32 number, *other;

    if (bpf_map_pop_elem(&edpi_free, &number))
        return 0;
    slot = bpf_map_lookup_elem(&edpi_slots, &number);
    if (!slot || !slot_take(&slot->flow))
        return 0;
    slot->key = *key;
    slot->cpu[0] = 0;
    slot->cpu[1] = 0;
    slot->flow.first = now;
    slot->flow.last = now;
    slot->flow.seen = from ? EDPI_SEEN_FROM_1 : 0;
    __sync_val_compare_and_swap(&slot->flow.state, EDPI_NEW, EDPI_OPEN);
    if (bpf_map_update_elem(&edpi_index, key, &number, BPF_NOEXIST) == 0)
        return number + 1;
    __sync_val_compare_and_swap(&slot->flow.state, EDPI_OPEN, EDPI_SPARE);
    other = bpf_map_lookup_elem(&edpi_index, key);
    return other ? *other + 1 : 0;
}

/* By the index, or a new one; its number, and one. 0: there is none. A function of its own,
 * for the stack. */
static __noinline __u32 slot_find(const struct pkt *p, __u64 hash, __u64 now)
{
    struct edpi_key key = {};
    __u32 from = edpi_key_of(p, &key), *known = bpf_map_lookup_elem(&edpi_index, &key);
    __u32 found = known ? *known + 1 : slot_new(&key, from, now);

    if (found)
        line_keep(hash, found - 1);
    return found;
}

/* Whether this CPU counts packets from this end alone, so that it need not lock the bus: the
 * first that had one does. Programs do not nest on a CPU. */
static __always_inline bool count_is_mine(struct edpi_slot *slot, __u32 from)
{
    __u32 *cpu = from ? &slot->cpu[1] : &slot->cpu[0], self = bpf_get_smp_processor_id() + 1;

    return *cpu == self || (!*cpu && __sync_val_compare_and_swap(cpu, 0, self) == 0);
}

static __always_inline void slot_account(const struct pkt *p, struct edpi_slot *slot, __u32 number,
                                         __u32 from, __u64 now)
{
    __u32 flags = (__u32)p->tcp_flags << EDPI_SEEN_FLAGS(from);
    struct edpi_flow *flow = &slot->flow;
    struct edpi_counts *others;

    if (count_is_mine(slot, from)) {
        flow->packets[from & 1]++;
        flow->bytes[from & 1] += p->len;
    } else if ((others = bpf_map_lookup_elem(&edpi_others, &number))) {
        __sync_fetch_and_add(&others->packets[from & 1], 1);
        __sync_fetch_and_add(&others->bytes[from & 1], p->len);
    }
    if (flow->last != now)
        flow->last = now;
    if ((flow->seen & flags) != flags)
        __sync_fetch_and_or(&flow->seen, flags);
}
