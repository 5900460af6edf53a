/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Decisions of an offload's plan: what netfilter would do, and when that is certain.
 * offload/plan.hpp says what each part here is for. Any doubt sends the packet to netfilter.
 */
#pragma once
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <stdbool.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "lib/clock.h"
#include "lib/csum.h"
#include "lib/fib.h"
#include "lib/stage.h"
#include "vnfs/efw/abi.h"

/* By decision: match_rule.counter. Bytes are those that netfilter counts, from the IP header
 * on. */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, EFW_OFFLOAD_COUNTERS);
    __type(key, __u32);
    __type(value, struct counter);
} efw_offload_counters SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct efw_offload);
} efw_offload SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, EFW_MAX_LINKS);
    __type(key, __u32);
    __type(value, struct efw_link);
} efw_offload_links SEC(".maps");

#ifdef EVNF_TC

/* Netfilter has had the packet already. */
static __always_inline __u32 offload_decide(struct frame_ctx *ctx, struct pkt *p,
                                            const struct match_rule *rule)
{
    (void)ctx, (void)p, (void)rule;
    return EFW_NEXT_OFFLOAD;
}

#else

#define IPV4_HEADER 20
#define IPV6_HEADER 40
#define NO_NEXT_HEADER 59 /* RFC 8200 section 4.7 */

/* Of the conntrack kfuncs (include/net/netfilter/nf_conntrack_bpf.h): the part that all
 * kernels have. */
struct bpf_ct_opts {
    __s32 netns_id;
    __s32 error;
    __u8 l4proto;
    __u8 dir;
    __u8 reserved[2];
};
#define CT_CURRENT_NETNS (-1)
#define CT_NO_ENTRY (-2) /* -ENOENT */

struct nf_conn {
    unsigned long status; /* it must have something: kfuncs take no incomplete type */
};
struct nf_conn *bpf_xdp_ct_lookup(struct xdp_md *ctx, struct bpf_sock_tuple *tuple, __u32 size,
                                  struct bpf_ct_opts *opts, __u32 opts_size) __ksym __weak;
void bpf_ct_release(struct nf_conn *ct) __ksym __weak;

/* The kernel's own: of each network namespace, how often its nftables rules have changed. It
 * is raised before new rules are in force. Where the kernel does not have it there, the
 * daemon's word, which is good for EFW_LEASE, is all there is. */
struct netns_nftables {
    unsigned int base_seq;
    __u8 gencursor;
} __attribute__((preserve_access_index));
struct net {
    struct netns_nftables nft;
} __attribute__((preserve_access_index));
typedef struct {
    struct net *net;
} __attribute__((preserve_access_index)) possible_net_t;
struct net_device {
    possible_net_t nd_net;
} __attribute__((preserve_access_index));
struct xdp_rxq_info {
    struct net_device *dev;
} __attribute__((preserve_access_index));
struct xdp_buff {
    struct xdp_rxq_info *rxq;
} __attribute__((preserve_access_index));

void *bpf_cast_to_kern_ctx(void *ctx) __ksym __weak; /* Linux 6.2 */

/* Whether the rules are still those of the plan, and somebody watches the rest. */
static __always_inline bool offload_holds(struct xdp_md *ctx)
{
    __u32 zero = 0;
    struct efw_offload *plan = bpf_map_lookup_elem(&efw_offload, &zero);
    struct netns_nftables *nft;
    struct xdp_buff *frame;

    if (!plan || clock_ns() >= *(volatile __u64 *)&plan->until)
        return false;
    if (!bpf_cast_to_kern_ctx)
        return true;
    frame = bpf_cast_to_kern_ctx(ctx);
    nft = &frame->rxq->dev->nd_net.net->nft;
    return !bpf_core_field_exists(nft->base_seq) ||
           *(volatile unsigned int *)&nft->base_seq == *(volatile __u32 *)&plan->generation;
}

static __always_inline bool is_mapped(const struct ip_addr *a)
{
    return !a->w[0] && !a->w[1] && a->w[2] == bpf_htonl(0xffff);
}

/* Without options or extension headers, and with a right IPv4 header checksum. */
static __always_inline bool offload_plain_ip(struct xdp_md *ctx, const struct pkt *p)
{
    __u32 header = p->l4_off - p->l3_off, sum = 0;
    __u16 *word;

    if (p->flow.family == 6)
        return header == IPV6_HEADER && p->flow.proto != NO_NEXT_HEADER &&
               !is_mapped(&p->flow.saddr) && !is_mapped(&p->flow.daddr);
    word = frame_at(ctx, p->l3_off, IPV4_HEADER);
    if (header != IPV4_HEADER || !word)
        return false;
    for (int i = 0; i < IPV4_HEADER / 2; i++)
        sum += word[i];
    return csum_fold(sum) == 0xffff;
}

static __always_inline bool offload_plain(struct xdp_md *ctx, const struct pkt *p)
{
    __u32 ifindex = p->ifindex;
    struct efw_link *link;
    struct ethhdr *eth;

    if (p->vlans || p->frag != PKT_FRAG_NONE || p->l4 > PKT_L4_OTHER || p->ttl < 2 ||
        (p->flags & (PKT_F_ROUTER | PKT_F_RTHDR)) || !offload_plain_ip(ctx, p))
        return false;
    link = bpf_map_lookup_elem(&efw_offload_links, &ifindex);
    eth = frame_at(ctx, 0, sizeof(*eth));
    if (!link || !eth)
        return false;
    for (int i = 0; i < ETH_ALEN; i++)
        if (eth->h_dest[i] != link->address[i])
            return false;
    return true;
}

static __always_inline bool offload_no_connection(struct xdp_md *ctx, const struct pkt *p)
{
    struct bpf_ct_opts opts = {.netns_id = CT_CURRENT_NETNS, .l4proto = p->flow.proto};
    struct bpf_sock_tuple tuple = {};
    struct nf_conn *ct;

    /* Asked by a type that came with the kfuncs. Their own addresses, where they are a module's,
     * libbpf before 1.2 takes for those of the kernel's BTF, and the kernel refuses the program. */
    if (!bpf_core_type_exists(struct bpf_ct_opts))
        return false;
    if (p->flow.family == 4) {
        tuple.ipv4.saddr = p->flow.saddr.w[3];
        tuple.ipv4.daddr = p->flow.daddr.w[3];
        tuple.ipv4.sport = p->flow.sport;
        tuple.ipv4.dport = p->flow.dport;
        ct = bpf_xdp_ct_lookup(ctx, &tuple, sizeof(tuple.ipv4), &opts, sizeof(opts));
    } else {
        __builtin_memcpy(tuple.ipv6.saddr, &p->flow.saddr, sizeof(tuple.ipv6.saddr));
        __builtin_memcpy(tuple.ipv6.daddr, &p->flow.daddr, sizeof(tuple.ipv6.daddr));
        tuple.ipv6.sport = p->flow.sport;
        tuple.ipv6.dport = p->flow.dport;
        ct = bpf_xdp_ct_lookup(ctx, &tuple, sizeof(tuple.ipv6), &opts, sizeof(opts));
    }
    if (!ct)
        return opts.error == CT_NO_ENTRY;
    bpf_ct_release(ct);
    return false;
}

static __always_inline bool has_route(long answer)
{
    return answer == BPF_FIB_LKUP_RET_SUCCESS || answer == BPF_FIB_LKUP_RET_NO_NEIGH;
}

static __always_inline bool offload_forwarded(struct xdp_md *ctx, const struct pkt *p)
{
    struct bpf_fib_lookup fib = {};

    if (p->flow.family == 6 &&
        (p->flow.saddr.w[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000))
        return false;
    fib_question(&fib, p);
    fib.tot_len = p->l3_end - p->l3_off;
    return has_route(bpf_fib_lookup(ctx, &fib, sizeof(fib), 0)) && fib.ifindex != p->ifindex;
}

static __always_inline bool offload_source_routed(struct xdp_md *ctx, const struct pkt *p,
                                                  bool back)
{
    struct bpf_fib_lookup fib = {};

    fib_question(&fib, p);
    if (p->flow.family == 4) {
        fib.ipv4_src = p->flow.daddr.w[3];
        fib.ipv4_dst = p->flow.saddr.w[3];
    } else {
        __builtin_memcpy(fib.ipv6_src, &p->flow.daddr, sizeof(fib.ipv6_src));
        __builtin_memcpy(fib.ipv6_dst, &p->flow.saddr, sizeof(fib.ipv6_dst));
    }
    return has_route(bpf_fib_lookup(ctx, &fib, sizeof(fib), 0)) &&
           (!back || fib.ifindex == p->ifindex);
}

static __always_inline bool offload_conditions(struct xdp_md *ctx, struct pkt *p, __u32 asked)
{
    if (asked & EFW_WITHOUT_CONNTRACK && !offload_no_connection(ctx, p))
        return false;
    if (asked & EFW_FORWARDED && !offload_forwarded(ctx, p))
        return false;
    if (asked & (EFW_SOURCE_ROUTED | EFW_SOURCE_ROUTED_BACK) &&
        !offload_source_routed(ctx, p, asked & EFW_SOURCE_ROUTED_BACK))
        return false;
    return !(asked & EFW_RIGHT_CHECKSUM) || csum_right(ctx, p);
}

static __always_inline __u32 offload_decide(struct xdp_md *ctx, struct pkt *p,
                                            const struct match_rule *rule)
{
    trace_detail(p, rule->counter | EFW_DETAIL_OFFLOADED);
    if (!offload_holds(ctx))
        return EFW_SLOW_STALE;
    if (rule->action == EFW_SLOW || !offload_plain(ctx, p) ||
        !offload_conditions(ctx, p, rule->options >> EFW_CONDITIONS_SHIFT))
        return EFW_SLOW_OFFLOAD;
    count(&efw_offload_counters, rule->counter, p->l3_end - p->l3_off);
    return rule->action == EFW_ACCEPT ? EFW_NEXT_OFFLOAD : EFW_DROP_OFFLOAD;
}

#endif
