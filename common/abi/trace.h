/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which packets are traced: what common/filter makes of the words of `evnf trace`.
 *
 * Everything asked must hold; all zero asks for nothing and matches every packet.
 * A later fragment's ports are not known (zero in its flow_key), so it matches no
 * filter that asks for a port.
 */
#pragma once
#include "abi/pkt.h"
#include "abi/types.h"

/* Where an address or a port is sought. */
enum trace_end {
    TRACE_EITHER, /* in the source or the destination, or in both */
    TRACE_SRC,
    TRACE_DST,
    TRACE_ENDS,
};

struct trace_filter {
    struct ip_addr addr[TRACE_ENDS]; /* by enum trace_end; no bit is set outside its mask */
    struct ip_addr mask[TRACE_ENDS]; /* all zero: no address is asked */
    __be16 port[TRACE_ENDS];         /* 0: no port is asked */
    __u8 family;                     /* 4, 6, or 0: both */
    __u8 proto;                      /* as flow_key.proto; 0: all, for it is never an upper layer */
};
ABI_VALUE(struct trace_filter, 104);

/* Not zero if `a` is not in the network asked at `end`. */
static __always_inline __u32 trace_addr_wrong(const struct trace_filter *f, enum trace_end end,
                                              const struct ip_addr *a)
{
    const struct ip_addr *want = &f->addr[end];
    const struct ip_addr *mask = &f->mask[end];

    return ((a->w[0] & mask->w[0]) ^ want->w[0]) | ((a->w[1] & mask->w[1]) ^ want->w[1]) |
           ((a->w[2] & mask->w[2]) ^ want->w[2]) | ((a->w[3] & mask->w[3]) ^ want->w[3]);
}

/* 1 if `got` is not what is asked, where zero asks for nothing. */
static __always_inline __u32 trace_number_wrong(__u32 want, __u32 got)
{
    return (__u32)(want != 0) & (__u32)(want != got);
}

/* The address and the port of TRACE_EITHER need not be of the same end, as in
 * tcpdump. Nothing returns early: the branches that are left (BPF cannot compare into
 * a register) meet again at once, and so do the paths that the verifier walks. */
static __always_inline __u32 trace_matches(const struct trace_filter *f, const struct flow_key *k)
{
    const __u32 either_addr = (__u32)(trace_addr_wrong(f, TRACE_EITHER, &k->saddr) != 0) &
                              (__u32)(trace_addr_wrong(f, TRACE_EITHER, &k->daddr) != 0);
    const __u32 either_port = trace_number_wrong(f->port[TRACE_EITHER], k->sport) &
                              trace_number_wrong(f->port[TRACE_EITHER], k->dport);
    const __u32 wrong = either_addr | either_port | trace_addr_wrong(f, TRACE_SRC, &k->saddr) |
                        trace_addr_wrong(f, TRACE_DST, &k->daddr) |
                        trace_number_wrong(f->port[TRACE_SRC], k->sport) |
                        trace_number_wrong(f->port[TRACE_DST], k->dport) |
                        trace_number_wrong(f->family, k->family) |
                        trace_number_wrong(f->proto, k->proto);

    return wrong == 0;
}

#define TRACE_RING_BYTES (4 << 20)
#define TRACE_MAX_BYTES 3500 /* of a frame */
#define TRACE_MAX_CPUS 1024  /* an id is count * TRACE_MAX_CPUS + CPU */
#define TRACE_TIME_EVERY 16  /* one packet in so many has its time taken */

/* What somebody who watches wants to see. */
struct trace_wanted {
    struct trace_filter filter;
    __u32 active;   /* else only times are taken */
    __u32 all;      /* the filter asks for nothing: also what could not be parsed */
    __u32 slot;     /* 0: of all */
    __u32 verdicts; /* a bit for each: 1 << (verdict >> 4) */
    __u32 snap;     /* bytes of the frame to send */
};
ABI_VALUE(struct trace_wanted, 124);

/* A packet leaves a slot; in the ring buffer `traces`, followed by bytes of the frame. */
struct trace_record {
    __u64 id; /* of the packet, on its way from one root or resumption to its end */
    __u64 ns; /* bpf_ktime_get_ns */
    __u32 reason;
    __u32 caplen;
    struct pkt pkt;
};
ABI_VALUE(struct trace_record, 184);

/* Of the packet that a CPU works on, and its counts; in the map `trace_states`. */
struct trace_state {
    __u64 id;    /* 0: the packet is not traced */
    __u64 since; /* when it came to its slot; 0: its time is not taken */
    __u64 seen;  /* packets, of this CPU: makes ids, and picks those whose time is taken */
    __u64 lost;  /* records that the ring had no room for */
};
ABI_VALUE(struct trace_state, 32);

struct slot_time {
    __u64 samples;
    __u64 ns;
};
ABI_VALUE(struct slot_time, 16);
