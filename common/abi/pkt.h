/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the root learns about a frame, once; every stage of the chain reads it.
 *
 * A stage that rewrites the packet updates this with it, so that the next stage
 * sees the packet as it now is. It lives in per-CPU scratch, which survives tail
 * calls. Offsets are bytes from the start of the frame.
 */
#pragma once
#include "abi/types.h"

#define PKT_MAX_VLANS 2      /* 802.1Q, or 802.1ad around 802.1Q */
#define PKT_MAX_EXTHDRS 8    /* IPv6 extension headers that are followed */
#define PKT_MAX_HEADERS 1024 /* a layer 4 header further into the frame is not sought */

/* A flow, in the direction of the packet. It is a map key as it stands. */
struct flow_key {
    struct ip_addr saddr;
    struct ip_addr daddr;
    __be16 sport; /* zero where pkt.l4 is not PKT_L4_PORTS */
    __be16 dport;
    __u8 proto;  /* IPPROTO_*: the upper layer, after any extension header */
    __u8 family; /* 4 or 6 */
    __u8 pad[2]; /* always zero */
};
ABI_KEY(struct flow_key, 40);

/* How deep a root looks: as deep as a stage of its chain asks for. Without PARSE_TRANSPORT
 * pkt.l4 says no more than PKT_L4_OTHER or PKT_L4_FRAGMENT. */
enum parse_depth {
    PARSE_NETWORK = 1, /* addresses, protocol, fragments */
    PARSE_TRANSPORT,   /* ports, flags */
    PARSE_QUOTED,      /* what ICMP errors quote */
};

/* How far layer 4 is known. */
enum pkt_l4 {
    PKT_L4_PORTS,    /* TCP, UDP or SCTP: the header is whole, ports are valid */
    PKT_L4_ICMP,     /* ICMP or ICMPv6: the 8-byte header is whole */
    PKT_L4_OTHER,    /* an upper layer without ports that we know (ESP, GRE, none, …) */
    PKT_L4_FRAGMENT, /* not a first fragment: there is no layer 4 header here */
    PKT_L4_BAD,      /* the header is cut short or contradicts itself */
    PKT_L4_UNREAD,   /* the extension headers are too many, too long or cut short */
};

enum pkt_frag {
    PKT_FRAG_NONE,  /* a whole datagram (an IPv6 atomic fragment, RFC 6946, is one) */
    PKT_FRAG_FIRST, /* offset zero, more to come */
    PKT_FRAG_LATER, /* offset not zero */
};

enum pkt_flag {
    PKT_F_ROUTER = 1 << 0, /* IPv4 options or an IPv6 hop-by-hop header: routers must look */
    PKT_F_RTHDR = 1 << 1,  /* an IPv6 routing header: daddr may not be the final one */
    PKT_F_QUOTED = 1 << 2, /* an ICMP error whose quoted packet is known, see pkt.quoted */
    PKT_F_VIA = 1 << 3,    /* a stage has chosen the next hop, see pkt.via */
    PKT_F_SKB = 1 << 4,    /* XDP is generic: the kernel finishes a partial checksum at the end */
};

/* What is known of the layer 4 checksum: see bpf/lib/csum.h. */
enum pkt_csum {
    PKT_CSUM_UNKNOWN,  /* nobody has looked */
    PKT_CSUM_COMPLETE, /* it covers the segment, as on the wire (or is UDP's absent one) */
    PKT_CSUM_PARTIAL,  /* it holds the pseudo-header's sum only; hardware was to finish it */
};

struct pkt {
    __u32 slot;    /* where in the chain the packet is: see abi/chain.h */
    __u32 ifindex; /* where it came in */
    __u32 len;     /* frame length */
    __u32 detail;  /* what decided, for those who watch: see lib/trace.h */
    __u32 match;   /* where the rules' answers to this flow are, 0: not known; lib/match.h */

    __u32 l3_end; /* first byte after the IP datagram; the rest of the frame is padding */
    __u16 l3_off;
    __u16
        l4_off; /* valid for all but PKT_L4_BAD and PKT_L4_UNREAD; of a later fragment: its data */
    __u8 l4;    /* enum pkt_l4 */
    __u8 frag;  /* enum pkt_frag */

    __u8 tcp_flags; /* byte 13 of the TCP header (RFC 9293); zero if not TCP */
    __u8 icmp_type; /* zero, as the code, if not PKT_L4_ICMP */
    __u8 icmp_code;
    __u8 ttl;       /* TTL or hop limit */
    __u8 flags;     /* enum pkt_flag */
    __u8 csum;      /* enum pkt_csum */
    __u8 vlans;     /* how many tags */
    __u8 port;      /* whose AF_XDP sockets can have it; EXIT_PORTS: none, see abi/copy.h */
    __u8 tos;       /* TOS or traffic class; the upper six bits are the DSCP */
    __u8 quoted_l4; /* enum pkt_l4: PORTS, OTHER, FRAGMENT, or UNREAD; see below */
    __u16 vlan_tci[PKT_MAX_VLANS]; /* host order, outermost first */

    struct flow_key flow;

    /* With PKT_F_VIA: "out" sends the packet to this neighbour, whatever its destination. */
    struct ip_addr via;

    /* With PKT_F_QUOTED: the start of the packet that an ICMP error quotes. Its
     * ports are zero unless quoted_l4 is PKT_L4_PORTS, for which the first 4
     * bytes of the upper layer suffice (RFC 792 promises 8). */
    struct flow_key quoted;
    __u16 quoted_l3_off;
    __u16 quoted_l4_off;

    __u64 note; /* of a slow packet: what its stage tells the worker that gets it */
    __u64 hash; /* of the flow, 0: not known; lib/lines.h */
};
ABI_VALUE(struct pkt, 160);
