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
#include "lib/lines.h"
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
const volatile __u8 root_mac[8] = {};     /* the first six */
const volatile bool root_generic = false; /* the interface's XDP is */

/* Tables of stages behind, to be read ahead: see lib/lines.h. Lines of each, 0: there is none;
 * and whether they are each CPU's. */
const volatile __u32 root_ahead_1 = 0, root_ahead_1_each_cpu = 0;
const volatile __u32 root_ahead_2 = 0, root_ahead_2_each_cpu = 0;

struct root_line {
    __u64 w[8];
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct root_line);
} root_lines_1 SEC(".maps"), root_lines_2 SEC(".maps");

/* Nothing depends on what is read, so nothing waits for it. */
static __always_inline void read_ahead(struct pkt *p, void *table, __u32 lines, bool each_cpu)
{
    const struct root_line *line;
    __u32 i;

    if (!lines)
        return;
    i = line_place(pkt_hash(p), lines, each_cpu);
    line = bpf_map_lookup_elem(table, &i);
    if (line)
        (void)*(const volatile __u64 *)line->w;
}

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
    if (root_generic)
        p->flags |= PKT_F_SKB;
    trace_begin(p, reason == NEXT);
    if (reason == SLOW_NOT_IP && root_not_ip_slot)
        return slot_goto(ctx, p, NEXT, root_not_ip_slot);
    if (reason == NEXT && root_check_mac && !for_us(ctx))
        reason = SLOW_NOT_OUR_MAC;
    if ((reason & VERDICT_MASK) == VERDICT_SLOW) { /* never was in the chain */
        slot_count(ctx, p, reason);
        return exit_to_kernel(ctx, false);
    }
    if (reason == NEXT) {
        read_ahead(p, &root_lines_1, root_ahead_1, root_ahead_1_each_cpu);
        read_ahead(p, &root_lines_2, root_ahead_2, root_ahead_2_each_cpu);
    }
    return slot_leave(ctx, p, reason);
}

char LICENSE[] SEC("license") = "GPL";
