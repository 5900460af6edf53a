/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Internet checksums (RFC 1071), changed in place (RFC 1624).
 *
 * Sums are kept as 16-bit words in network order, as they lie in memory, in a
 * 64-bit accumulator: a hundred 32-bit words do not overflow it, so one fold at
 * the end is exact for any change of address.
 *
 * A packet between two veths or two guests of one host may be CHECKSUM_PARTIAL:
 * its TCP or UDP checksum field holds the pseudo-header's sum, for hardware to
 * finish. XDP is not told. csum_state() finds out, so that a rewrite keeps such
 * a field correct (it is updated without the complement) and the forwarder can
 * finish it in software before the packet leaves.
 */
#pragma once
#include <linux/bpf.h>
#include <linux/in.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "abi/pkt.h"
#include "lib/ctx.h"

#define CSUM_MAX_BYTES 4096 /* a single-buffer XDP frame is smaller */
#define CSUM_BULK 512       /* the most that bpf_csum_diff() takes */
#define CSUM_CHUNK 32       /* a TCP header with a timestamp */
#define CSUM_PART 64        /* what is copied to be read */

/* Folds a sum to 16 bits. Zero only if every word summed was zero. */
static __always_inline __u16 csum_fold(__u64 sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (__u16)sum;
}

/* What a change of one word adds to a sum: m' - m in one's complement. */
static __always_inline __u64 csum_delta16(__be16 from, __be16 to)
{
    return (__u64)(__u16)~from + to;
}

static __always_inline __u64 csum_delta_addr(const struct ip_addr *from, const struct ip_addr *to)
{
    __u64 delta = 0;

    for (int i = 0; i < 4; i++)
        delta += (__u64)(__u32)~from->w[i] + to->w[i];
    return delta;
}

/* RFC 1624, equation 3: HC' = ~(~HC + ~m + m'). */
static __always_inline __u16 csum_update(__u16 csum, __u64 delta)
{
    return ~csum_fold((__u16)~csum + delta);
}

/* The pseudo-header's sum (RFC 9293 section 3.1, RFC 8200 section 8.1); `len` is
 * the segment's, host order. */
static __always_inline __u64 csum_pseudo(const struct flow_key *f, __u32 len)
{
    __u64 sum = (__u64)bpf_htons(len) + bpf_htons(f->proto);

    if (f->family == 4)
        return sum + f->saddr.w[3] + f->daddr.w[3];
    for (int i = 0; i < 4; i++)
        sum += (__u64)f->saddr.w[i] + f->daddr.w[i];
    return sum;
}

/* Where the packet's TCP or UDP checksum lies, or NULL: another protocol, a
 * later fragment, a routing header (whose pseudo-header has another address), UDP
 * without checksum. `len` becomes the segment's length, but of a first fragment. */
static __always_inline __u16 *csum_field(struct frame_ctx *ctx, const struct pkt *p, __u32 *len)
{
    void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
    __u32 off = p->l4_off & 0x7ff;
    void *l4 = data + off;
    __u16 *field;

    if (p->l4 != PKT_L4_PORTS || (p->flags & PKT_F_RTHDR))
        return NULL;
    if (p->flow.proto == IPPROTO_TCP) {
        field = l4 + 16;
        if ((void *)(field + 1) > end)
            return NULL;
        *len = p->l3_end - off;
        return field;
    }
    if (p->flow.proto == IPPROTO_UDP) {
        field = l4 + 6;
        if ((void *)(field + 1) > end || *field == 0)
            return NULL;
        *len = bpf_ntohs(*(__be16 *)(l4 + 4));
        return field;
    }
    return NULL;
}

#define CSUM_UNREADABLE (~0ULL) /* no sum of so few bytes gets there */

/* The sum of the bytes [off, off + len) of the frame, not folded. A global function,
 * so that the verifier goes through it once. CSUM_UNREADABLE if the frame ends before. */
#ifdef EVNF_TC

/* An skb's bytes are in several places. */
__noinline __u64 csum_bytes(struct frame_ctx *ctx, __u32 off, __u32 len)
{
    __u32 words[CSUM_PART / 4];
    __u32 sum = 0;

    for (int i = 0; i < CSUM_MAX_BYTES / CSUM_PART && len >= CSUM_PART; i++) {
        if (frame_load(ctx, off, words, sizeof(words)))
            return CSUM_UNREADABLE;
        sum = bpf_csum_diff(NULL, 0, words, sizeof(words), sum);
        off += CSUM_PART;
        len -= CSUM_PART;
    }
    if (len >= CSUM_PART)
        return CSUM_UNREADABLE;
    if (len == 0)
        return sum;
    __builtin_memset(words, 0, sizeof(words));
    /* The mask says to the verifier that 1..63 bytes are left. */
    if (frame_load(ctx, off, words, ((len - 1) & (CSUM_PART - 1)) + 1))
        return CSUM_UNREADABLE;
    return bpf_csum_diff(NULL, 0, words, sizeof(words), sum);
}

#else

/* A frame of XDP is read in place: the bulk by the kernel's own loop, and little here, since a
 * call costs more. */
__noinline __u64 csum_bytes(struct frame_ctx *ctx, __u32 off, __u32 len)
{
    void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
    __u64 sum = 0;

    if (off >= CSUM_MAX_BYTES || len > CSUM_MAX_BYTES - off)
        return CSUM_UNREADABLE;
    for (int i = 0; i < CSUM_MAX_BYTES / CSUM_BULK && len >= CSUM_BULK; i++) {
        void *at = data + (off & (CSUM_MAX_BYTES - 1));

        if (at + CSUM_BULK > end)
            return CSUM_UNREADABLE;
        sum += (__u32)bpf_csum_diff(NULL, 0, at, CSUM_BULK, 0);
        off += CSUM_BULK;
        len -= CSUM_BULK;
    }
    for (int i = 0; i < CSUM_BULK / CSUM_CHUNK && len >= CSUM_CHUNK; i++) {
        __u32 *at = data + (off & (CSUM_MAX_BYTES - 1));

        if ((void *)(at + CSUM_CHUNK / 4) > end)
            return CSUM_UNREADABLE;
#pragma unroll
        for (int w = 0; w < CSUM_CHUNK / 4; w++)
            sum += at[w];
        off += CSUM_CHUNK;
        len -= CSUM_CHUNK;
    }
    for (int i = 0; i < CSUM_CHUNK / 2 && len >= 2; i++) {
        __u16 *at = data + (off & (CSUM_MAX_BYTES - 1));

        if ((void *)(at + 1) > end)
            return CSUM_UNREADABLE;
        sum += *at;
        off += 2;
        len -= 2;
    }
    if (len == 1) {
        __u8 *at = data + (off & (CSUM_MAX_BYTES - 1));

        if ((void *)(at + 1) > end)
            return CSUM_UNREADABLE;
        sum += bpf_htons((__u16)*at << 8);
    }
    return sum;
}

#endif

/* Finds out whether the checksum field is complete or partial, and keeps it in `p`; `sum` is the
 * segment's, or CSUM_UNREADABLE, if it is partial.
 *
 * A partial field equals the folded pseudo-header sum. One complete field in
 * 65,536 does too, so on equality the segment is summed: if it then verifies,
 * the field is complete. That of a fragment always is: whoever fragments a
 * datagram completes it before, since no hardware sees the whole any more. */
static __always_inline void csum_learn(struct frame_ctx *ctx, struct pkt *p, __u64 *sum)
{
    __u32 len = 0;
    __u16 *field;
    __u64 pseudo;

    p->csum = PKT_CSUM_COMPLETE;
    if (p->frag != PKT_FRAG_NONE)
        return;
    field = csum_field(ctx, p, &len);
    if (!field)
        return;
    pseudo = csum_pseudo(&p->flow, len);
    if (*field != csum_fold(pseudo))
        return;
    *sum = csum_bytes(ctx, p->l4_off, len);
    /* Longer than CSUM_MAX_BYTES are packets that generic XDP gets merged: these are partial. */
    if (*sum == CSUM_UNREADABLE || csum_fold(pseudo + *sum) != 0xffff)
        p->csum = PKT_CSUM_PARTIAL;
}

/* Whether the field is complete or partial; found once. */
static __always_inline enum pkt_csum csum_state(struct frame_ctx *ctx, struct pkt *p)
{
    __u64 sum;

    if (p->csum == PKT_CSUM_UNKNOWN)
        csum_learn(ctx, p, &sum);
    return p->csum;
}

/* Whether the kernel or hardware is to finish the checksum once all programs are through, whatever
 * they make of the packet: it keeps where the segment starts, and sums from there to the frame's
 * end. `sum` is then what all of that will sum to: the complement of what the field says now. */
static __always_inline bool csum_left(struct frame_ctx *ctx, struct pkt *p, __u64 *sum)
{
    __u32 len;
    __u16 *field;

#ifndef EVNF_TC
    if (!(p->flags & PKT_F_SKB))
        return false;
#endif
    if (csum_state(ctx, p) != PKT_CSUM_PARTIAL)
        return false;
    field = csum_field(ctx, p, &len);
    if (!field)
        return false;
    *sum = (__u16) ~*field;
    return true;
}

#ifdef EVNF_TC

/* The kernel knows whether a checksum is partial. */
static __always_inline void csum_rewrite(struct __sk_buff *ctx, struct pkt *p, __u64 addr_delta,
                                         __u64 port_delta)
{
    bool udp = p->flow.proto == IPPROTO_UDP;
    __u32 off = p->l4_off + (udp ? 6 : 16);
    __u64 flags = udp ? BPF_F_MARK_MANGLED_0 : 0;
    __u32 len = 0;

    if (!csum_field(ctx, p, &len))
        return;
    bpf_l4_csum_replace(ctx, off, 0, csum_fold(addr_delta), flags | BPF_F_PSEUDO_HDR);
    bpf_l4_csum_replace(ctx, off, 0, csum_fold(port_delta), flags);
}

#else

/* Corrects the TCP or UDP checksum for a rewrite of addresses and ports, given
 * what each changes (csum_delta_addr, csum_delta16). Call it before the rewrite
 * and before p->flow follows. Packet pointers are not valid after it. */
static __always_inline void csum_rewrite(struct frame_ctx *ctx, struct pkt *p, __u64 addr_delta,
                                         __u64 port_delta)
{
    bool partial = csum_state(ctx, p) == PKT_CSUM_PARTIAL;
    __u32 len = 0;
    __u16 *field = csum_field(ctx, p, &len);
    __u16 csum;

    if (!field)
        return;
    if (partial) {
        /* Ports are not in the pseudo-header: whoever finishes will sum them. */
        *field = csum_fold((__u64)*field + addr_delta);
        return;
    }
    csum = csum_update(*field, addr_delta + port_delta);
    /* Zero would say "no checksum" in UDP; 0xffff is the same sum (RFC 768). */
    *field = csum == 0 && p->flow.proto == IPPROTO_UDP ? 0xffff : csum;
}

/* Whether the TCP or UDP checksum is right, as far as there is one that can be checked: not
 * in a fragment. A partial one will be. */
static __always_inline bool csum_right(struct frame_ctx *ctx, struct pkt *p)
{
    __u32 len = 0;
    __u64 sum;

    if (p->frag != PKT_FRAG_NONE || csum_state(ctx, p) == PKT_CSUM_PARTIAL ||
        !csum_field(ctx, p, &len))
        return true;
    sum = csum_bytes(ctx, p->l4_off, len);
    return sum != CSUM_UNREADABLE && csum_fold(csum_pseudo(&p->flow, len) + sum) == 0xffff;
}

/* Finishes a partial checksum in software, for who gets the bytes alone. False if the segment
 * cannot be read. */
static __always_inline bool csum_finish(struct frame_ctx *ctx, struct pkt *p)
{
    __u32 len = 0;
    __u16 *field;
    __u16 csum;
    __u64 sum = CSUM_UNREADABLE;

    if (p->csum == PKT_CSUM_UNKNOWN)
        csum_learn(ctx, p, &sum);
    if (p->csum != PKT_CSUM_PARTIAL)
        return true;
    if (!csum_field(ctx, p, &len))
        return false;
    if (sum == CSUM_UNREADABLE)
        sum = csum_bytes(ctx, p->l4_off, len);
    if (sum == CSUM_UNREADABLE)
        return false;
    field = csum_field(ctx, p, &len); /* again: the call above forgot the packet pointers */
    if (!field)
        return false;
    csum = ~csum_fold(sum); /* the field's own pseudo-header sum is among the bytes */
    *field = csum ? csum : 0xffff;
    p->csum = PKT_CSUM_COMPLETE;
    return true;
}

/* csum_finish() just before a frame leaves by XDP, after which nobody else would; but what is still
 * an skb, and known to be partial, the kernel or hardware finishes, once more if it has been. */
static __always_inline bool csum_send(struct frame_ctx *ctx, struct pkt *p)
{
    return p->flags & PKT_F_SKB || csum_finish(ctx, p);
}

#endif
