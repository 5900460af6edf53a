// SPDX-License-Identifier: GPL-2.0-or-later
#include <bpf/bpf_endian.h>
#include <linux/in.h>

#include "lib/stage.h"
#include "tests/vnfs/probe/abi.h"

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u32);
} probe_index SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, PROBE_MAX_IDS);
    __type(key, __u32);
    __type(value, struct probe_visit);
    __uint(pinning, LIBBPF_PIN_BY_NAME);
} probe_visits SEC(".maps");

static __always_inline void visit(__u32 id)
{
    struct probe_visit first = {}, *v;

    bpf_map_update_elem(&probe_visits, &id, &first, BPF_NOEXIST);
    v = bpf_map_lookup_elem(&probe_visits, &id);
    if (!v)
        return;
    __sync_fetch_and_add(&v->count, 1);
#ifdef EVNF_TC
    __sync_fetch_and_add(&v->in_tc, 1);
#endif
    v->last_ns = bpf_ktime_get_ns();
}

STAGE(probe)
{
    __u32 zero = 0, *index = bpf_map_lookup_elem(&probe_index, &zero);
    __u8 word = 0;
    __be32 id;

    if (!index || p->flow.proto != IPPROTO_UDP || p->l4 != PKT_L4_PORTS)
        return NEXT;
    if (frame_load(ctx, p->l4_off + 8, &id, sizeof(id)) ||
        frame_load(ctx, p->l4_off + 12 + *index, &word, sizeof(word)))
        return NEXT;
    visit(bpf_ntohl(id));
    switch (word) {
    case PROBE_SLOW:
    case PROBE_REFUSE:
        return PROBE_SLOW_ASKED;
    case PROBE_DROP:
        return PROBE_DROP_ASKED;
    case PROBE_COPY:
        packet_copy(ctx, 128, 0);
        return PROBE_NEXT_COPIED;
    }
    return NEXT;
}

char LICENSE[] SEC("license") = "GPL";
