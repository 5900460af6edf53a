/* SPDX-License-Identifier: GPL-2.0-or-later */
/* elb: what its fast path and its C++ share. */
#pragma once
#include <linux/bpf.h>

#include "abi/chain.h"
#include "abi/pkt.h"

#define ELB_MAX_SERVICES 256
#define ELB_MAX_BACKENDS 4096 /* of all services together */
#define ELB_MAX_PORTS 4096    /* and port ranges, likewise */
#define ELB_RANGE_PREFIXES 30 /* at most, of one range of ports */
#define ELB_SLOTS 4096        /* of a service; a power of two */
#define ELB_MANY_SLOTS 65536  /* of one with more than ELB_FEW_BACKENDS; likewise */
#define ELB_FEW_BACKENDS 64
#define ELB_CHOICE_TRIES 4      /* slots looked at for a second backend */
#define ELB_TRIES 4             /* slots tried for a new connection whose way back is taken */
#define ELB_MAX_SOURCES 8       /* addresses of a service's source NAT */
#define ELB_SOURCE_TRIES 32     /* ports tried for a new connection with source NAT */
#define ELB_MAX_FRAGMENTS 16384 /* fragmented datagrams under way */

/* A virtual service; with port and proto zero, a host that elb must know of. */
struct elb_service_key {
    struct ip_addr addr;
    __be16 port;
    __u8 proto;  /* IPPROTO_TCP, IPPROTO_UDP or IPPROTO_SCTP */
    __u8 family; /* 4 or 6 */
};
ABI_KEY(struct elb_service_key, 20);

/* With a host's key: unused. */
struct elb_service {
    __u32 index; /* of its slot table */
    __u32 alone; /* 1: no other service has connections with the same ports of its backends, and
                  * it chooses by its slots alone */
};
ABI_VALUE(struct elb_service, 8);

/* A part of a service's range of ports: a prefix of them (BPF_MAP_TYPE_LPM_TRIE). */
struct elb_range_key {
    __u32 prefixlen; /* ELB_RANGE_FIXED, and the port's bits */
    struct ip_addr addr;
    __u8 proto;
    __u8 family;
    __be16 port;
};
#define ELB_RANGE_FIXED 144
ABI_KEY(struct elb_range_key, 24);

/* How a service's packets get to its backends. */
enum elb_forward {
    ELB_NAT,        /* the destination is rewritten */
    ELB_SOURCE_NAT, /* the source too: the backend answers an address of ours */
    ELB_TUNNEL,     /* the packet as it is, in another: the backend answers the client */
    ELB_DIRECT,     /* the packet as it is, to the backend's MAC; likewise */
};

/* Whether the backend's answers pass elb by. */
#define ELB_ONE_WAY(forward) ((forward) == ELB_TUNNEL || (forward) == ELB_DIRECT)

/* What a service's slots do not say of it, elb_choice and elb_sources, has two places: one that
 * its slots name, and one for the next change. A packet so sees the old of both or the new. */
#define ELB_TERMS(service, slot_choice) ((service)*2 + ((slot_choice)&ELB_SECOND_TERMS ? 1 : 0))
#define ELB_MAX_TERMS (ELB_MAX_SERVICES + ELB_MAX_SERVICES)

/* By ELB_TERMS: the sources that its backends see. */
struct elb_sources {
    __u32 count;
    __u16 first_port, last_port; /* of ELB_SOURCE_NAT */
    struct ip_addr addr[ELB_MAX_SOURCES];
};
ABI_VALUE(struct elb_sources, 136);

/* One entry of a slot table: who gets the new connections that hash to it. The
 * share of a backend is the share of its slots. */
struct elb_slot {
    struct ip_addr addr;
    __be16 port;   /* zero: as the client asked */
    __u16 backend; /* index into elb_backend_counters */
    __u16 weight;  /* of the backend, the heaviest of the service having 65535 */
    __u8 choice;   /* ELB_CHOOSE_*, of the service; none: by the slots alone; ELB_SECOND_TERMS */
    __u8 forward;  /* enum elb_forward, of the service */
};
ABI_VALUE(struct elb_slot, 24);

#define ELB_CHOOSE_SOURCE 1 /* affinity = "source" */
#define ELB_CHOOSE_LEAST 2  /* balance = "least_connections" */
#define ELB_CHOOSE (ELB_CHOOSE_SOURCE | ELB_CHOOSE_LEAST)
#define ELB_SECOND_TERMS 4 /* the service's are in the second of its places */

/* By ELB_TERMS: of a service that chooses not by its slots alone. */
struct elb_choice {
    __u64 service;       /* a hash of its name, which its index is not */
    struct ip_addr mask; /* of clients' addresses that are one client */
    __u32 timeout;       /* seconds after its last new connection */
    __u32 pad;
};
ABI_VALUE(struct elb_choice, 32);

/* By backend. */
struct elb_taker {
    __u64 service; /* of struct elb_choice; zero: it gets no new connections */
    struct ip_addr addr;
    __be16 port;
    __u16 pad[3];
};
ABI_VALUE(struct elb_taker, 32);

struct elb_client_key {
    __u64 service;       /* of struct elb_choice */
    struct ip_addr addr; /* as far as the mask goes */
};
ABI_KEY(struct elb_client_key, 24);

struct elb_client {
    __u32 seen; /* elb_clock at its last new connection */
    __u16 backend;
    __u16 pad;
};
ABI_VALUE(struct elb_client, 8);

/* Of a backend; the difference is what it has. */
struct elb_active {
    __u64 began;
    __u64 ended;
};
ABI_VALUE(struct elb_active, 16);

enum elb_rewrite {
    ELB_TO_BACKEND, /* write addr and port as the destination */
    ELB_TO_CLIENT,  /* write addr and port as the source */
};

/* What has been seen of a connection in one direction. */
#define ELB_SEEN_FIN 1
#define ELB_SEEN_RST 2

/* With ELB_SOURCE_NAT: what is written as the other end than the one that DNAT writes. With
 * ELB_TUNNEL: the address that the tunnel's packets come from. */
struct elb_end {
    struct ip_addr addr;
    __be16 port;
    __u8 pad[2];
};
ABI_VALUE(struct elb_end, 20);

/* A connection that both sides have spoken on is two entries, each keyed by struct
 * flow_key as packets of that direction arrive, each complete in itself: a packet needs
 * one lookup. Nothing but time, its end or an operator removes them. */
struct elb_conn {
    struct ip_addr addr;
    __be16 port;
    __u16 backend; /* index into elb_backend_counters */
    __u8 rewrite;  /* enum elb_rewrite */
    __u8 flags;    /* ELB_SEEN_* */
    __u8 forward;  /* enum elb_forward */
    __u8 pad;
    __u32 seen; /* elb_clock at the last packet */
    /* Last: most packets do not ask for it. */
    struct elb_end far;
};
ABI_VALUE(struct elb_conn, 48);

/* What a CPU remembers of a flow: its entry in elb_conns, which is of ELB_NAT; see lines.h. */
struct elb_line {
    struct ip_addr saddr; /* of the flow */
    struct ip_addr daddr;
    struct ip_addr addr; /* of the entry */
    __be16 sport;
    __be16 dport;
    __be16 port;
    __u16 backend;
    __u8 proto;
    __u8 family;
    __u8 rewrite;
    __u8 pad;
    __u32 epoch; /* in which it was found; 0: none */
};
ABI_VALUE(struct elb_line, 64);

/* One that is opening: by the client's direction. Of a backend of several services, and with
 * source NAT, also by the backend's, with the service as addr and port. The oldest make room
 * for new ones. */
struct elb_opening {
    struct ip_addr addr;
    __be16 port;
    __u16 backend;
    __u8 flags;      /* ELB_SEEN_* */
    __u8 answered;   /* the backend has; 2: by a SYN or INIT ACK, see `expected` */
    __u8 rewrite;    /* enum elb_rewrite */
    __u8 forward;    /* enum elb_forward */
    __be32 expected; /* acknowledgment number or tag of a client that has seen it */
    __u32 seen;      /* elb_clock when it was made, then at the backend's last answer */
    struct elb_end far;
};
ABI_VALUE(struct elb_opening, 52);

#define ELB_OPENING_WAYS 14   /* as many tags as the line of the lock has room for */
#define ELB_OPENING_PLACES 16 /* the next power of two */

struct elb_opening_entry {
    struct flow_key key;
    struct elb_opening opening;
    __u32 pad;
};
ABI_VALUE(struct elb_opening_entry, 96);

/* Openings whose flows have this part of their hash in common. */
struct elb_opening_set {
    struct bpf_spin_lock lock;
    __u16 found; /* a bit for each way: since the hand last came by */
    __u8 hand;   /* who is next to make room */
    __u8 pad;
    __u32 tags[ELB_OPENING_WAYS]; /* flow_hash.h; zero: free */
    struct elb_opening_entry entries[ELB_OPENING_WAYS];
};
ABI_VALUE(struct elb_opening_set, 1408);

/* By a backend's key, with port zero if it keeps the client's: whose answers its packets are. */
struct elb_owner {
    struct ip_addr addr;
    __be16 port;  /* zero: one of several, see `shared`, or the backend's */
    __u16 shared; /* its openings may have an entry for its direction too */
};
ABI_VALUE(struct elb_owner, 20);

/* What the fragments of one datagram have in common. */
struct elb_fragment_key {
    struct ip_addr saddr;
    struct ip_addr daddr;
    __be32 id;   /* IPv4: of 16 bits */
    __u8 proto;  /* IPv4; else zero */
    __u8 family; /* 4 or 6 */
    __u8 pad[2];
};
ABI_KEY(struct elb_fragment_key, 40);

/* What became of the first: the addresses that it has now, and the stage's reason. */
struct elb_fragment {
    struct ip_addr saddr; /* with ELB_TUNNEL: of the packet around it */
    struct ip_addr daddr; /* with ELB_DIRECT: the backend */
    __u32 seen;           /* elb_clock */
    __u16 backend;
    __u8 reason;
    __u8 forward; /* enum elb_forward */
};
ABI_VALUE(struct elb_fragment, 40);

struct elb_backend_counter {
    __u64 connections; /* placed on it */
    __u64 established; /* of them: those that it has answered, and the client then */
    struct counter to_backend;
    struct counter to_client;
};
ABI_VALUE(struct elb_backend_counter, 48);

/* Beside them, what is rare; a map of its own, so that the layout of the other stays. */
struct elb_backend_events {
    __u64 client_resets; /* frames with a RST, of both sides */
    __u64 backend_resets;
    __u64 moved; /* connections placed on it that were opening on another */
};
ABI_VALUE(struct elb_backend_events, 24);

/* Likewise, of services with an affinity. */
struct elb_backend_choices {
    __u64 followed; /* connections placed where the client had been */
    __u64 not_kept; /* placed, but elb_clients had no room for the client */
};
ABI_VALUE(struct elb_backend_choices, 16);

/* X(name in C, value, name for people, what it means) */
/* clang-format off */
#define ELB_REASONS(X) \
    X(ELB_NEXT_BACKEND, VNF_REASON(VERDICT_NEXT, 0), "to_backend", "rewritten to a backend") \
    X(ELB_NEXT_CLIENT, VNF_REASON(VERDICT_NEXT, 1), "to_client", "rewritten back to the service's address") \
    X(ELB_DROP_WAY_BACK, VNF_REASON(VERDICT_DROP, 1), "way_back_taken", "another connection of this client has the same way back from every backend tried") \
    X(ELB_DROP_FRAGMENT, VNF_REASON(VERDICT_DROP, 2), "fragment", "a fragment that came before the first of its datagram, or without the whole header") \
    X(ELB_DROP_SOURCES, VNF_REASON(VERDICT_DROP, 3), "sources_taken", "living connections have all ports tried of the service's sources") \
    X(ELB_DROP_TOO_BIG, VNF_REASON(VERDICT_DROP, 4), "too_big", "too big for the way to the backend, and no answer could be made of it") \
    X(ELB_SLOW_NO_BACKEND, VNF_REASON(VERDICT_SLOW, 0), "no_backend", "the service has no backend with a weight: the kernel answers") \
    X(ELB_SLOW_TTL, VNF_REASON(VERDICT_SLOW, 1), "ttl", "TTL or hop limit is used up before the backend: the kernel answers")
/* clang-format on */

enum elb_reason { ELB_REASONS(CHAIN_REASON_ENUM) };
