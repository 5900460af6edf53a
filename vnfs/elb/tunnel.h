/* SPDX-License-Identifier: GPL-2.0-or-later */
/* elb: packets to a backend that answers the client itself go to it as they are, in a packet to
 * its own address: IPv4 in IPv4 (RFC 2003), IPv6 in IPv6 (RFC 2473).
 *
 * The outer header has the inner one's DSCP and ECN bits (RFC 6040, section 4.1) and Don't
 * Fragment; the inner packet's TTL counts this hop. What would be too big for the way there
 * becomes an ICMP error to the client, which so finds the path MTU: nobody else could tell it.
 */
#pragma once
#include "lib/fib.h"
#include "lib/hop.h"
#include "lib/room.h"
#include "vnfs/elb/rewrite.h"

#define TUNNEL_TTL 64
#define IP_DF 0x4000      /* RFC 791: do not fragment */
#define TUNNEL_SMALL 1280 /* to any backend: it is not asked how much the way takes */
/* Of a packet that is too big: RFC 1812, section 4.3.2.3; RFC 4443, section 3.2. */
#define QUOTE_V4 (576 - sizeof(struct iphdr) - sizeof(struct icmp_start))
#define QUOTE_V6 (1280 - sizeof(struct ipv6hdr) - sizeof(struct icmp_start))
#define TOS_CONTROL 0xc0 /* as Linux has ICMP errors */

struct icmp_start {
    __u8 type;
    __u8 code;
    __sum16 checksum;
    __be32 mtu; /* ICMP: 16 bits unused, then 16 */
};

/* A new IP header at p->l3_off, where there is room for it, with p->flow's addresses. */
static __always_inline bool write_header(struct frame_ctx *ctx, struct pkt *p, bool df)
{
    if (p->flow.family == 4) {
        struct iphdr *ip = frame_at(ctx, p->l3_off, sizeof(*ip));
        __u16 *words = (__u16 *)ip;
        __u64 sum = 0;

        if (!ip)
            return false;
        ip->version = 4;
        ip->ihl = 5;
        ip->tos = p->tos;
        ip->tot_len = bpf_htons(p->l3_end - p->l3_off);
        ip->id = df ? 0 : bpf_get_prandom_u32(); /* RFC 6864, section 4.1 */
        ip->frag_off = bpf_htons(df ? IP_DF : 0);
        ip->ttl = p->ttl;
        ip->protocol = p->flow.proto;
        ip->check = 0;
        ip->saddr = p->flow.saddr.w[3];
        ip->daddr = p->flow.daddr.w[3];
        for (int i = 0; i < (int)sizeof(*ip) / 2; i++)
            sum += words[i];
        ip->check = ~csum_fold(sum);
    } else {
        struct ipv6hdr *ip = frame_at(ctx, p->l3_off, sizeof(*ip));

        if (!ip)
            return false;
        *(__be32 *)ip = bpf_htonl(0x60000000 | (__u32)p->tos << 20);
        ip->payload_len = bpf_htons(p->l3_end - p->l3_off - sizeof(*ip));
        ip->nexthdr = p->flow.proto;
        ip->hop_limit = p->ttl;
        __builtin_memcpy(&ip->saddr, &p->flow.saddr, sizeof(ip->saddr));
        __builtin_memcpy(&ip->daddr, &p->flow.daddr, sizeof(ip->daddr));
    }
    return true;
}

/* `p` becomes that of a packet of our own around what it was, or of the start of it. */
static __always_inline void new_packet(struct pkt *p, enum pkt_l4 l4, __u8 proto, __u32 len)
{
    p->l4_off = p->l3_off + (p->flow.family == 4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr));
    p->l3_end = p->l3_off + len;
    p->l4 = l4;
    p->frag = PKT_FRAG_NONE;
    p->tcp_flags = 0;
    p->ttl = TUNNEL_TTL;
    p->flags = 0;
    p->csum = PKT_CSUM_COMPLETE;
    p->flow.proto = proto;
    p->flow.sport = 0;
    p->flow.dport = 0;
    pkt_rewritten(p);
}

/* Makes of the packet the ICMP error that tells its sender how big it may be. */
__noinline __u32 too_big(struct frame_ctx *ctx)
{
    struct elb_scratch *s = scratch_get();
    struct pkt *p = pkt_get();
    struct icmp_start *icmp;
    struct ip_addr client;
    __u32 room, quote, to_sum;
    bool four;
    __u64 sum = 0, bytes;

    if (!p || !s)
        return SLOW_L4_UNKNOWN;
    if (p->frag == PKT_FRAG_LATER) /* the first is answered (RFC 1122, section 3.2.2) */
        return ELB_DROP_TOO_BIG;
    four = p->flow.family == 4;
    room = sizeof(*icmp) + (four ? sizeof(struct iphdr) : sizeof(struct ipv6hdr));
    quote = four ? QUOTE_V4 : QUOTE_V6;
    to_sum = sizeof(*icmp) + (csum_left(ctx, p, &sum) ? p->l4_off - p->l3_off : quote);
    if (!room_before_l3(ctx, p, room, false) || !room_cut(ctx, p->l3_off + room + quote))
        return ELB_DROP_TOO_BIG;
    client = p->flow.saddr;
    p->flow.saddr = p->flow.daddr;
    p->flow.daddr = client;
    new_packet(p, PKT_L4_ICMP, four ? IPPROTO_ICMP : IPPROTO_ICMPV6, room + quote);
    p->len = p->l3_end;
    p->tos = four ? TOS_CONTROL : 0;
    p->icmp_type = four ? 3 : 2;
    p->icmp_code = four ? 4 : 0;
    if (!write_header(ctx, p, true))
        return ELB_DROP_TOO_BIG;
    icmp = frame_at(ctx, p->l4_off, sizeof(*icmp));
    if (!icmp)
        return ELB_DROP_TOO_BIG;
    icmp->type = p->icmp_type;
    icmp->code = p->icmp_code;
    icmp->checksum = 0;
    icmp->mtu = bpf_htonl(s->limit);
    bytes = csum_bytes(ctx, p->l4_off, to_sum);
    if (bytes == CSUM_UNREADABLE)
        return ELB_DROP_TOO_BIG;
    sum += bytes;
    if (!four)
        sum += csum_pseudo(&p->flow, sizeof(*icmp) + quote);
    icmp = frame_at(ctx, p->l4_off, sizeof(*icmp));
    if (!icmp)
        return ELB_DROP_TOO_BIG;
    icmp->checksum = ~csum_fold(sum);
    s->target.rewrite = ELB_TO_CLIENT;
    count_backend(p, &s->target);
    return ELB_NEXT_CLIENT;
}

/* Whether nobody on its way may cut the packet: IPv6 lets none. */
static __always_inline bool keeps_whole(struct frame_ctx *ctx, const struct pkt *p)
{
    const struct iphdr *ip = frame_at(ctx, p->l3_off, sizeof(*ip));

    return p->flow.family != 4 || (ip && ip->frag_off & bpf_htons(IP_DF));
}

/* How big a packet with a header of `room` bytes more may be on the way to the target, if it
 * is bigger; 0 if not. */
static __always_inline __u32 way_limit(struct frame_ctx *ctx, const struct pkt *p,
                                       const struct elb_target *t, __u32 room)
{
    struct bpf_fib_lookup fib = {.tot_len = p->l3_end - p->l3_off + room};

    if (fib.tot_len <= TUNNEL_SMALL)
        return 0;
#ifdef EVNF_TC
    if (ctx->gso_segs > 1)
        return 0; /* the kernel makes smaller ones of it */
#endif
    fib_question(&fib, p);
    if (p->flow.family == 4)
        fib.ipv4_dst = t->addr.w[3];
    else
        __builtin_memcpy(fib.ipv6_dst, &t->addr, sizeof(fib.ipv6_dst));
    return bpf_fib_lookup(ctx, &fib, sizeof(fib), 0) == BPF_FIB_LKUP_RET_FRAG_NEEDED
               ? fib.mtu_result
               : 0;
}

/* Whether the packet as it is, or in a tunnel, can go to the scratch's target: NEXT, or the reason
 * why not. Too big for that, s->limit is how big it may be, else zero. */
__noinline __u32 backend_takes(struct frame_ctx *ctx)
{
    struct elb_scratch *s = scratch_get();
    struct pkt *p = pkt_get();
    __u32 room = 0, limit;

    if (!p || !s)
        return SLOW_L4_UNKNOWN;
    if (p->ttl <= 1)
        return ELB_SLOW_TTL;
    if (s->target.forward == ELB_TUNNEL)
        room = p->flow.family == 4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
    limit = way_limit(ctx, p, &s->target, room);
    s->limit = limit ? limit - room : 0;
    if (limit || !room)
        return NEXT;
#ifndef EVNF_TC
    if (!csum_send(ctx, p)) /* nobody else would find it in there */
        return SLOW_L4_UNKNOWN;
#endif
    return NEXT;
}

/* Sends the packet to the scratch's target. */
__noinline __u32 tunnel(struct frame_ctx *ctx)
{
    struct elb_scratch *s = scratch_get();
    struct pkt *p = pkt_get();
    bool whole, four;
    __u32 room;

    if (!p || !s)
        return SLOW_L4_UNKNOWN;
    four = p->flow.family == 4;
    room = four ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
    whole = keeps_whole(ctx, p);
    if (!hop_count(ctx, p) || !room_before_l3(ctx, p, room, true))
        return SLOW_L4_UNKNOWN;
    count_backend(p, &s->target);
    p->flow.saddr = s->far.addr;
    p->flow.daddr = s->target.addr;
    p->len += room;
    new_packet(p, PKT_L4_OTHER, four ? IPPROTO_IPIP : IPPROTO_IPV6, p->l3_end - p->l3_off + room);
    return write_header(ctx, p, whole) ? ELB_NEXT_BACKEND : SLOW_L4_UNKNOWN;
}
