/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The parser: fills struct pkt from a frame. Only the root calls it.
 *
 *   Ethernet -> VLAN* -> IPv4 | IPv6 -> extension headers* -> TCP | UDP | SCTP | ICMP
 *                                                                        `-> quoted packet
 *
 * It answers with a reason: NEXT for an IP packet, SLOW_NOT_IP for what is merely
 * not ours, DROP_* for a frame whose link or IP header is malformed (the kernel
 * drops those too, see ip_rcv_core() and ip6_rcv_core()). A malformed layer 4 is
 * not a reason to drop: a router does not look at it, so it is marked in pkt.l4
 * and each stage decides. Nothing is ever read from beyond the IP datagram, even
 * where the frame goes on with padding.
 */
#pragma once
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "abi/chain.h"
#include "abi/pkt.h"
#include "lib/ctx.h"

#define IP_MF 0x2000
#define IP_OFFSET 0x1fff
#define TCP_MIN_DOFF 5
#define SCTP_HEADER 12 /* the common header, RFC 9260 section 3.1 */
#define ICMP_HEADER 8

/* ICMP errors (RFC 792); <linux/icmp.h> drags in the C library. */
enum icmp4_error {
    ICMP4_UNREACHABLE = 3,
    ICMP4_SOURCE_QUENCH = 4,
    ICMP4_REDIRECT = 5,
    ICMP4_TIME_EXCEEDED = 11,
    ICMP4_PARAMETER_PROBLEM = 12,
};

struct vlan_tag {
    __be16 tci;
    __be16 proto;
};

/* The first bytes that every extension header shares (RFC 8200 section 4). */
struct ext_hdr {
    __u8 next;
    __u8 len;
    __be16 frag_off; /* fragment header only: offset in 8 octets << 3, M flag */
    __be32 frag_id;
};

/* Where a walk over the headers is: `cur` is a packet pointer for the verifier,
 * `off` the same place as a number. */
struct cursor {
    void *data;
    void *end; /* of the frame */
    __u32 off;
    __u32 stop; /* of the IP datagram */
};

/* A call of a global function makes the verifier forget packet pointers. */
static __always_inline void reload(struct frame_ctx *ctx, struct cursor *c)
{
    c->data = (void *)(long)ctx->data;
    c->end = (void *)(long)ctx->data_end;
}

/* The header of `size` bytes at the cursor, or NULL if the datagram ends before
 * its end. */
static __always_inline void *header_at(const struct cursor *c, __u32 size)
{
    __u64 off = c->off;
    void *p;

    if (off > PKT_MAX_HEADERS || off + size > c->stop)
        return NULL;
    /* Nothing new, but said of the very register: Linux 6.1 forgets the bound when the
     * compiler keeps the number on the stack meanwhile. */
    asm volatile("%0 &= 2047" : "+r"(off));
    p = c->data + off;
    return p + size > c->end ? NULL : p;
}

static __always_inline void addr_set_v4(struct ip_addr *a, __be32 v4)
{
    a->w[0] = 0;
    a->w[1] = 0;
    a->w[2] = bpf_htonl(0xffff);
    a->w[3] = v4;
}

static __always_inline void addr_set_v6(struct ip_addr *a, const struct in6_addr *v6)
{
    a->w[0] = v6->in6_u.u6_addr32[0];
    a->w[1] = v6->in6_u.u6_addr32[1];
    a->w[2] = v6->in6_u.u6_addr32[2];
    a->w[3] = v6->in6_u.u6_addr32[3];
}

/* What walk_ext_headers() found, packed so that a global function can return it. */
struct ext_walk {
    __u32 off;  /* of the header at which it stopped */
    __u8 next;  /* that header's number */
    __u8 l4;    /* PKT_L4_OTHER: an upper layer for the caller to read; or FRAGMENT, UNREAD */
    __u8 frag;  /* enum pkt_frag */
    __u8 flags; /* enum pkt_flag */
};
_Static_assert(sizeof(struct ext_walk) == 8, "fits a register");

union ext_result {
    struct ext_walk walk;
    __u64 packed;
};

static __always_inline bool is_ext_header(__u8 number)
{
    return number == IPPROTO_HOPOPTS || number == IPPROTO_ROUTING || number == IPPROTO_FRAGMENT ||
           number == IPPROTO_DSTOPTS || number == IPPROTO_AH;
}

/* Walks IPv6 extension headers from number `next` at `off`, up to `stop`. A global
 * function: the verifier goes through its loop once, and packets that have none of
 * these headers do not call it. */
__noinline __u64 walk_ext_headers(struct frame_ctx *ctx, __u32 off, __u32 stop, __u32 next)
{
    union ext_result r = {.walk = {.off = off, .next = next, .l4 = PKT_L4_UNREAD}};
    struct ext_walk *w = &r.walk;

    for (int i = 0; i < PKT_MAX_EXTHDRS; i++) {
        struct ext_hdr h;

        if (w->off > PKT_MAX_HEADERS || w->off + sizeof(h) > stop ||
            frame_load(ctx, w->off, &h, sizeof(h)))
            return r.packed;
        if (w->next == IPPROTO_HOPOPTS)
            w->flags |= PKT_F_ROUTER;
        if (w->next == IPPROTO_ROUTING)
            w->flags |= PKT_F_RTHDR;
        if (w->next == IPPROTO_FRAGMENT) {
            if (h.frag_off & bpf_htons(0xfff8))
                w->frag = PKT_FRAG_LATER;
            else if (h.frag_off & bpf_htons(1))
                w->frag = PKT_FRAG_FIRST;
            w->off += sizeof(h);
        } else if (w->next == IPPROTO_AH) {
            w->off += (h.len + 2) * 4; /* RFC 4302 section 2.2 */
        } else {
            w->off += (h.len + 1) * 8;
        }
        if (w->off > stop)
            return r.packed;
        w->next = h.next;
        if (is_ext_header(w->next)) {
            /* After a later fragment's header comes data, whatever its number says. The
             * first fragment is left unread with it: all of a datagram are seen alike. */
            if (w->frag != PKT_FRAG_NONE)
                return r.packed;
            continue;
        }
        w->l4 = w->frag == PKT_FRAG_LATER ? PKT_L4_FRAGMENT : PKT_L4_OTHER;
        return r.packed;
    }
    return r.packed;
}

/* The same, for a header that may be an upper layer at once. */
static __always_inline struct ext_walk ext_headers(struct frame_ctx *ctx, const struct cursor *c,
                                                   __u8 next)
{
    union ext_result r = {.walk = {.off = c->off, .next = next, .l4 = PKT_L4_OTHER}};

    if (is_ext_header(next))
        r.packed = walk_ext_headers(ctx, c->off, c->stop, next);
    return r.walk;
}

/* Reads the packet that an ICMP error quotes, at the cursor. */
static __always_inline void parse_quoted(struct frame_ctx *ctx, struct pkt *p, struct cursor *c)
{
    __u8 l4 = PKT_L4_OTHER;
    struct flow_key *q = &p->quoted;
    __be16 *ports;

    p->quoted_l3_off = c->off;
    if (p->flow.family == 4) {
        struct iphdr *ip = header_at(c, sizeof(*ip));

        if (!ip || ip->version != 4 || ip->ihl < 5)
            return;
        addr_set_v4(&q->saddr, ip->saddr);
        addr_set_v4(&q->daddr, ip->daddr);
        q->proto = ip->protocol;
        c->off += ip->ihl * 4;
        if (ip->frag_off & bpf_htons(IP_OFFSET))
            l4 = PKT_L4_FRAGMENT;
        else if (c->off > c->stop)
            l4 = PKT_L4_UNREAD;
    } else {
        struct ipv6hdr *ip = header_at(c, sizeof(*ip));
        struct ext_walk walk;

        if (!ip || ip->version != 6)
            return;
        addr_set_v6(&q->saddr, &ip->saddr);
        addr_set_v6(&q->daddr, &ip->daddr);
        c->off += sizeof(*ip);
        walk = ext_headers(ctx, c, ip->nexthdr);
        reload(ctx, c);
        c->off = walk.off;
        q->proto = walk.next;
        l4 = walk.l4;
    }
    q->family = p->flow.family;
    q->sport = 0;
    q->dport = 0;
    p->quoted_l4_off = c->off;
    if (l4 == PKT_L4_OTHER &&
        (q->proto == IPPROTO_TCP || q->proto == IPPROTO_UDP || q->proto == IPPROTO_SCTP)) {
        ports = header_at(c, 2 * sizeof(*ports));
        if (ports) {
            q->sport = ports[0];
            q->dport = ports[1];
            l4 = PKT_L4_PORTS;
        } else {
            l4 = PKT_L4_UNREAD;
        }
    }
    p->quoted_l4 = l4;
    p->flags |= PKT_F_QUOTED;
}

static __always_inline bool icmp_quotes(const struct pkt *p)
{
    __u8 type = p->icmp_type;

    if (p->flow.family == 6)
        return type >= 1 && type <= 4; /* RFC 4443 section 2.1, the errors in use */
    return type == ICMP4_UNREACHABLE || type == ICMP4_SOURCE_QUENCH || type == ICMP4_REDIRECT ||
           type == ICMP4_TIME_EXCEEDED || type == ICMP4_PARAMETER_PROBLEM;
}

static __always_inline void parse_l4(struct frame_ctx *ctx, struct pkt *p, struct cursor *c,
                                     enum parse_depth depth)
{
    p->l4 = PKT_L4_BAD; /* until the header proves whole */

    switch (p->flow.proto) {
    case IPPROTO_TCP: {
        struct tcphdr *tcp = header_at(c, sizeof(*tcp));

        if (!tcp || tcp->doff < TCP_MIN_DOFF || c->off + tcp->doff * 4 > c->stop)
            return;
        p->flow.sport = tcp->source;
        p->flow.dport = tcp->dest;
        p->tcp_flags = ((__u8 *)tcp)[13];
        p->l4 = PKT_L4_PORTS;
        return;
    }
    case IPPROTO_UDP: {
        struct udphdr *udp = header_at(c, sizeof(*udp));
        __u32 len;

        if (!udp)
            return;
        len = bpf_ntohs(udp->len);
        if (len < sizeof(*udp) || (p->frag == PKT_FRAG_NONE && c->off + len > c->stop))
            return;
        p->flow.sport = udp->source;
        p->flow.dport = udp->dest;
        p->l4 = PKT_L4_PORTS;
        return;
    }
    case IPPROTO_SCTP: {
        __be16 *ports = header_at(c, SCTP_HEADER);

        if (!ports)
            return;
        p->flow.sport = ports[0];
        p->flow.dport = ports[1];
        p->l4 = PKT_L4_PORTS;
        return;
    }
    case IPPROTO_ICMP:
    case IPPROTO_ICMPV6: {
        __u8 *icmp;

        if ((p->flow.proto == IPPROTO_ICMP) != (p->flow.family == 4))
            break; /* the other family's ICMP is no ICMP */
        icmp = header_at(c, ICMP_HEADER);
        if (!icmp)
            return;
        p->icmp_type = icmp[0];
        p->icmp_code = icmp[1];
        p->l4 = PKT_L4_ICMP;
        if (depth >= PARSE_QUOTED && p->frag == PKT_FRAG_NONE && icmp_quotes(p)) {
            c->off += ICMP_HEADER;
            parse_quoted(ctx, p, c);
        }
        return;
    }
    }
    p->l4 = PKT_L4_OTHER;
}

static __always_inline enum chain_reason parse_ipv4(struct frame_ctx *ctx, struct pkt *p,
                                                    struct cursor *c, enum parse_depth depth)
{
    struct iphdr *ip = header_at(c, sizeof(*ip));
    __u32 header, total;
    __u16 frag;

    if (!ip)
        return DROP_IP_CUT;
    header = ip->ihl * 4;
    if (ip->version != 4 || header < sizeof(*ip))
        return DROP_IP_HEADER;
    if (c->off + header > c->stop)
        return DROP_IP_CUT;
    total = bpf_ntohs(ip->tot_len);
    if (total < header)
        return DROP_IP_HEADER;
    if (c->off + total > c->stop)
        return DROP_IP_LENGTH;

    c->stop = c->off + total;
    c->off += header;
    p->l3_end = c->stop;
    p->ttl = ip->ttl;
    p->tos = ip->tos;
    if (header > sizeof(*ip))
        p->flags |= PKT_F_ROUTER;
    p->flow.family = 4;
    p->flow.proto = ip->protocol;
    addr_set_v4(&p->flow.saddr, ip->saddr);
    addr_set_v4(&p->flow.daddr, ip->daddr);

    p->l4_off = c->off;
    frag = bpf_ntohs(ip->frag_off);
    if (frag & IP_OFFSET) {
        p->frag = PKT_FRAG_LATER;
        p->l4 = PKT_L4_FRAGMENT;
        return NEXT;
    }
    if (frag & IP_MF)
        p->frag = PKT_FRAG_FIRST;
    if (depth >= PARSE_TRANSPORT)
        parse_l4(ctx, p, c, depth);
    return NEXT;
}

static __always_inline enum chain_reason parse_ipv6(struct frame_ctx *ctx, struct pkt *p,
                                                    struct cursor *c, enum parse_depth depth)
{
    struct ipv6hdr *ip = header_at(c, sizeof(*ip));
    struct ext_walk walk;
    __u32 payload;

    if (!ip)
        return DROP_IP_CUT;
    if (ip->version != 6)
        return DROP_IP_HEADER;
    payload = bpf_ntohs(ip->payload_len); /* 0 in a jumbogram, whose layer 4 is then UNREAD */
    if (c->off + sizeof(*ip) + payload > c->stop)
        return DROP_IP_LENGTH;

    c->off += sizeof(*ip);
    c->stop = c->off + payload;
    p->l3_end = c->stop;
    p->ttl = ip->hop_limit;
    p->tos = ip->priority << 4 | ip->flow_lbl[0] >> 4;
    p->flow.family = 6;
    addr_set_v6(&p->flow.saddr, &ip->saddr);
    addr_set_v6(&p->flow.daddr, &ip->daddr);
    walk = ext_headers(ctx, c, ip->nexthdr);
    reload(ctx, c);
    c->off = walk.off;
    p->flow.proto = walk.next;
    p->l4_off = walk.off;
    p->l4 = walk.l4;
    p->frag = walk.frag;
    p->flags |= walk.flags;
    if (p->l4 == PKT_L4_OTHER && depth >= PARSE_TRANSPORT)
        parse_l4(ctx, p, c, depth);
    return NEXT;
}

/* Fills `p`, all but slot, ifindex and port, from the frame. Fields that the frame does
 * not have are zero. After a reason other than NEXT only len and the VLAN tags are valid.
 * `depth` is a constant: what no stage of the chain asks for is not in the program.
 * `network` is the ethertype of a frame without an Ethernet header, as of a tunnel's
 * interface; zero for one that has it. */
static __always_inline enum chain_reason parse_frame(struct frame_ctx *ctx, struct pkt *p,
                                                     enum parse_depth depth, __be16 network)
{
    struct cursor c = {
        .data = (void *)(long)ctx->data,
        .end = (void *)(long)ctx->data_end,
        .off = network ? 0 : sizeof(struct ethhdr),
    };
    struct ethhdr *eth = c.data;
    __be16 proto = network;

    c.stop = frame_len(ctx);
    p->len = c.stop;
    p->l3_off = 0;
    p->l3_end = 0;
    p->l4_off = 0;
    p->l4 = PKT_L4_OTHER;
    p->frag = PKT_FRAG_NONE;
    p->tcp_flags = 0;
    p->icmp_type = 0;
    p->icmp_code = 0;
    p->ttl = 0;
    p->tos = 0;
    p->match = 0;
    p->hash = 0;
    p->flags = 0;
    p->csum = PKT_CSUM_UNKNOWN;
    p->vlans = 0;
    p->flow.sport = 0;
    p->flow.dport = 0;

    if (!network) {
        if ((void *)(eth + 1) > c.end)
            return DROP_LINK_CUT;
        proto = eth->h_proto;
    }
    for (int i = 0; i < PKT_MAX_VLANS; i++) {
        struct vlan_tag *tag;

        if (proto != bpf_htons(ETH_P_8021Q) && proto != bpf_htons(ETH_P_8021AD))
            break;
        tag = header_at(&c, sizeof(*tag));
        if (!tag)
            return DROP_LINK_CUT;
        p->vlan_tci[i] = bpf_ntohs(tag->tci);
        p->vlans = i + 1;
        proto = tag->proto;
        c.off += sizeof(*tag);
    }
    p->l3_off = c.off;
    if (proto == bpf_htons(ETH_P_IP))
        return parse_ipv4(ctx, p, &c, depth);
    if (proto == bpf_htons(ETH_P_IPV6))
        return parse_ipv6(ctx, p, &c, depth);
    return SLOW_NOT_IP;
}
