/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The hop that a packet takes here (RFC 1812 section 5.3.1, RFC 8200 section 3). */
#pragma once
#include <linux/ip.h>
#include <linux/ipv6.h>

#include "lib/csum.h"
#include "lib/stage.h"

/* One from its TTL or hop limit, which is above zero; false if the header cannot be read. */
static __always_inline bool hop_count(struct frame_ctx *ctx, struct pkt *p)
{
    if (p->flow.family == 4) {
        struct iphdr *ip = frame_at(ctx, p->l3_off, sizeof(*ip));

        if (!ip)
            return false;
        /* TTL is the high byte of its 16-bit word. */
        ip->check = csum_update(
            ip->check, csum_delta16(bpf_htons(ip->ttl << 8), bpf_htons((ip->ttl - 1) << 8)));
        ip->ttl--;
    } else {
        struct ipv6hdr *ip = frame_at(ctx, p->l3_off, sizeof(*ip));

        if (!ip)
            return false;
        ip->hop_limit--;
    }
    p->ttl--;
    return true;
}
