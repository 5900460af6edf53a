/* SPDX-License-Identifier: GPL-2.0-or-later */
/* elb: the tables of connections, and how one gets from opening to established.
 *
 *   SYN ──> elb_openings ──> the backend's SYN, ACK: its number is noted
 *                        └─> the client's ACK of that number ──> elb_conns, both ways
 *
 * Whoever floods with SYNs so fills only elb_openings, of which the oldest go: a client
 * with a forged address never sees the number. UDP, and TCP that was under way when elb
 * came, is established when the backend has answered and the client goes on.
 *
 * A packet of an opening connection whose entry has gone is placed by its hash again,
 * which is the same backend unless the slots have changed.
 */
#pragma once
#include <linux/errno.h>
#include <linux/in.h>
#include <linux/tcp.h>

#include "lib/addr.h"
#include "lib/stage.h"
#include "vnfs/elb/abi.h"
#include "vnfs/elb/active.h"
#include "vnfs/elb/openings.h"
#include "vnfs/elb/sctp.h"

/* By ELB_TERMS; nothing in it where no slot asks for it. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, ELB_MAX_TERMS);
    __type(key, __u32);
    __type(value, struct elb_sources);
} elb_sources SEC(".maps");

/* Preallocated; the daemon sets its size and removes what has had its time. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 262144);
    __type(key, struct flow_key);
    __type(value, struct elb_conn);
    __uint(pinning, LIBBPF_PIN_BY_NAME);
} elb_conns SEC(".maps");

/* Of each backend of each service. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries,
           ELB_MAX_BACKENDS + ELB_MAX_BACKENDS); /* also those of backends that have gone */
    __type(key, struct elb_service_key);
    __type(value, struct elb_owner);
} elb_owners SEC(".maps");

/* Seconds, counted by the daemon: while there is none to remove connections, none ages. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u32);
    __uint(pinning, LIBBPF_PIN_BY_NAME);
} elb_clock SEC(".maps");

/* Goes on when what was found in elb_conns must be looked up again; zero: nothing is remembered. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE); /* the daemon adds to it, too */
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u32);
} elb_epoch SEC(".maps");

static __always_inline void elb_epoch_next(void)
{
    __u32 zero = 0, *epoch = bpf_map_lookup_elem(&elb_epoch, &zero);

    if (epoch)
        __sync_fetch_and_add(epoch, 1);
}

/* Whether there are ranges of ports, or backends that keep the client's: while there are none,
 * what is no service's costs no lookup more. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u32);
} elb_many_ports SEC(".maps");

static __always_inline bool many_ports(void)
{
    __u32 zero = 0, *many = bpf_map_lookup_elem(&elb_many_ports, &zero);

    return many && *many;
}

/* Where a packet goes, or comes from in the client's eyes. */
struct elb_target {
    struct ip_addr addr;
    __be16 port;
    __u16 backend;
    __u8 rewrite; /* enum elb_rewrite */
    __u8 forward; /* enum elb_forward */
    __u8 pad[2];
};

/* In place of a reason: the packet goes to its target. Who says so leaves its stack first. */
#define ELB_FORWARD CHAIN_MAX_REASONS
/* Likewise: the packet goes on as usual. */
#define ELB_AS_WHOLE (CHAIN_MAX_REASONS + 1)
/* Likewise: see place_alone(). */
#define ELB_KNOWN (CHAIN_MAX_REASONS + 2)

/* What few packets need, and the stack has no room for. Linux 6.1 also takes no memory that
 * came as an argument for a map's key. */
struct elb_scratch {
    struct flow_key own; /* conn_is_over(): its argument, and the other direction's */
    struct flow_key other;
    struct flow_key back;         /* place(): the way back of what is placed */
    struct flow_key client;       /* whose that is already, or whose packet is answered */
    struct elb_opening opening;   /* what is made of it */
    struct elb_range_key range;   /* service_of_range() */
    struct elb_service_key owner; /* owner_of() */
    struct elb_client_key key;    /* choose(): the client */
    struct elb_slot chosen;       /* what it gives */
    struct elb_conn conn;         /* conn_establish(): what is made */
    struct elb_target target;     /* forward_to(): where the packet goes */
    struct elb_end far;           /* of a target that is not of ELB_NAT */
    __u32 terms;                  /* place(): ELB_TERMS by the slot that is tried */
    __u32 since;                  /* way_of(): when the way back was last used */
    __u32 limit;                  /* backend_takes() */
    __u32 best, oldest;           /* way_find(): the try that found the way longest unused */
};

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct elb_scratch);
} elb_scratch SEC(".maps");

static __always_inline struct elb_scratch *scratch_get(void)
{
    __u32 zero = 0;

    return bpf_map_lookup_elem(&elb_scratch, &zero);
}

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, ELB_MAX_BACKENDS);
    __type(key, __u32);
    __type(value, struct elb_backend_counter);
    __uint(pinning, LIBBPF_PIN_BY_NAME);
} elb_backend_counters SEC(".maps");

static __always_inline __u32 elb_now(void)
{
    __u32 zero = 0, *clock = bpf_map_lookup_elem(&elb_clock, &zero);

    return clock ? *clock : 0;
}

/* Makes of `back` the flow of the answers to `f`. Two pieces of memory: no stack between. */
static __always_inline void flow_back(const struct flow_key *f, struct flow_key *back)
{
    back->saddr = f->daddr;
    back->daddr = f->saddr;
    back->sport = f->dport;
    back->dport = f->sport;
    back->proto = f->proto;
    back->family = f->family;
    back->pad[0] = back->pad[1] = 0;
}

/* Whether a packet with these signs (signs_of()) opens a connection. */
static __always_inline bool opens(__u8 signs)
{
    return (signs & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) == TCP_SYN;
}

static __always_inline __u8 seen_flags(__u8 signs)
{
    return (signs & TCP_FIN ? ELB_SEEN_FIN : 0) | (signs & TCP_RST ? ELB_SEEN_RST : 0);
}

/* Whether packets tell when a connection begins and ends. */
static __always_inline bool has_handshake(const struct pkt *p)
{
    return p->flow.proto != IPPROTO_UDP;
}

/* The key of the entry for the other direction. */
static __always_inline void conn_back(const struct flow_key *key, const struct elb_conn *c,
                                      struct flow_key *back)
{
    bool source_nat = c->forward == ELB_SOURCE_NAT;

    flow_back(key, back);
    if (c->rewrite == ELB_TO_BACKEND) {
        back->saddr = c->addr;
        back->sport = c->port;
        if (source_nat) {
            back->daddr = c->far.addr;
            back->dport = c->far.port;
        }
    } else {
        back->daddr = c->addr;
        back->dport = c->port;
        if (source_nat) {
            back->saddr = c->far.addr;
            back->sport = c->far.port;
        }
    }
}

/* Whether neither side of a connection will say anything more, by what each has sent. */
static __always_inline bool ended_whole(__u8 flags, __u8 others)
{
    return (flags & others & ELB_SEEN_FIN) || ((flags | others) & ELB_SEEN_RST);
}

/* What a side has said of its end is no more what it was: also counts that its backend has the
 * connection no more, or again. */
__noinline int conn_turns(struct elb_conn *c, __u8 flags)
{
    struct elb_scratch *s = scratch_get();
    struct pkt *p = pkt_get();
    const struct elb_conn *other;
    __u8 others;
    bool was;

    if (!c || !s)
        return 0;
    if (!p)
        return 0;
    s->own = p->flow;
    conn_back(&s->own, c, &s->other);
    other = bpf_map_lookup_elem(&elb_conns, &s->other);
    others = other ? other->flags : 0;
    was = !(c->flags | others);
    c->flags = flags;
    if (was && flags)
        active_ends(c->backend);
    else if (!was && !(flags | others))
        active_begins(c->backend);
    return 0;
}

/* Notes a packet of an established connection. Most change nothing: no line is written.
 * Who goes on after a RST has sent none: it was forged. */
static __always_inline void conn_seen(__u8 signs, struct elb_conn *c)
{
    __u32 now = elb_now();
    __u8 flags = (c->flags & ~ELB_SEEN_RST) | seen_flags(signs);

    if (c->seen != now)
        c->seen = now;
    if (c->flags != flags)
        conn_turns(c, flags);
}

/* Forgets the connection that has one of its keys here, if it has ended for one of its sides,
 * or, with `whole`, for both: another has its ports now. Gives whether it has. A global
 * function: the stack of its own is for few packets, as of the next ones. */
__noinline int conn_is_over(struct flow_key *key, bool whole)
{
    struct elb_scratch *s = scratch_get();
    struct elb_conn *c, *other;
    __u8 flags, others;

    if (!key || !s)
        return 0;
    s->own = *key;
    c = bpf_map_lookup_elem(&elb_conns, &s->own);
    if (!c)
        return 0;
    conn_back(&s->own, c, &s->other);
    other = bpf_map_lookup_elem(&elb_conns, &s->other);
    flags = c->flags;
    others = other ? other->flags : 0;
    if (whole ? !ended_whole(flags, others) : !(flags | others))
        return 0;
    bpf_map_delete_elem(&elb_conns, &s->other);
    bpf_map_delete_elem(&elb_conns, &s->own);
    elb_epoch_next();
    return 1;
}

/* Writes into `client` the client's flow whose answers have the key `back`, by the entry there. */
#define client_of(client, back, entry)                                                             \
    do {                                                                                           \
        flow_back(back, client);                                                                   \
        (client)->daddr = (entry)->addr;                                                           \
        (client)->dport = (entry)->port;                                                           \
        if ((entry)->forward == ELB_SOURCE_NAT) {                                                  \
            (client)->saddr = (entry)->far.addr;                                                   \
            (client)->sport = (entry)->far.port;                                                   \
        }                                                                                          \
    } while (0)

/* Whether the answers to an opening connection, by its client's side, have the key `back`. */
static __always_inline bool opening_has_back(const struct elb_opening *o,
                                             const struct flow_key *back)
{
    if (o->rewrite != ELB_TO_BACKEND || o->port != back->sport ||
        !same_addr(&o->addr, &back->saddr))
        return false;
    return o->forward == ELB_NAT || (o->forward == ELB_SOURCE_NAT && o->far.port == back->dport &&
                                     same_addr(&o->far.addr, &back->daddr));
}

/* Whose the answers of a backend are, that come as `f`. */
static __always_inline const struct elb_owner *owner_of(struct elb_scratch *s,
                                                        const struct flow_key *f)
{
    const struct elb_owner *owner;

    s->owner.addr = f->saddr;
    s->owner.port = f->sport;
    s->owner.proto = f->proto;
    s->owner.family = f->family;
    owner = bpf_map_lookup_elem(&elb_owners, &s->owner);
    if (owner || !many_ports())
        return owner;
    s->owner.port = 0;
    return bpf_map_lookup_elem(&elb_owners, &s->owner);
}

/* The client's flow of which a backend's packet (`f`) is the answer, as far as it is
 * opening: in the scratch's `client`. NULL if there is none. */
static __always_inline struct elb_opening *opening_answered(struct elb_scratch *s,
                                                            struct flow_key *f)
{
    const struct elb_owner *owner = owner_of(s, f);
    struct flow_key *client = &s->client;
    struct elb_opening *o;

    if (!owner)
        return NULL;
    flow_back(f, client);
    client->daddr = owner->addr;
    client->dport = owner->port ? owner->port : f->sport;
    if (owner->shared) {
        o = opening_lookup(f);
        if (o) /* there is none of before it was shared */
            client_of(client, f, o);
    }
    o = opening_lookup(client);
    return o && opening_has_back(o, f) ? o : NULL;
}

/* Notes the backend's answer to an opening connection. */
static __always_inline void opening_answer(struct frame_ctx *ctx, const struct pkt *p,
                                           struct elb_opening *o)
{
    bool sctp = p->flow.proto == IPPROTO_SCTP;
    __u8 signs = signs_of(ctx, p);
    __be32 *words;

    o->seen = elb_now();
    if (!has_handshake(p)) {
        o->answered = 1;
        return;
    }
    if (seen_flags(signs) & ~o->flags)
        o->flags |= seen_flags(signs);
    if (signs & TCP_RST)
        return;
    if (!(signs & TCP_SYN)) {
        /* SCTP's backend says nothing else before it has had the cookie of its INIT ACK. */
        if (!o->answered || sctp)
            o->answered = 1;
        return;
    }
    words = frame_at(ctx, p->l4_off, 5 * sizeof(*words));
    if (!words)
        return;
    /* The sequence number, or the tag of an INIT ACK. */
    o->expected = sctp ? words[4] : bpf_htonl(bpf_ntohl(words[1]) + 1);
    o->answered = 2;
}

/* Seconds after a backend's answer in which an opening connection keeps it. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u32);
} elb_opening_time SEC(".maps");
/* Notes a client's packet of a connection whose backend's answers are not seen: who goes on
 * has been answered. */
static __always_inline void opening_seen(__u8 signs, struct elb_opening *o)
{
    __u32 now = elb_now();

    if (o->seen != now)
        o->seen = now;
    if (!o->answered && !opens(signs))
        o->answered = 1;
    if (seen_flags(signs) & ~o->flags)
        o->flags |= seen_flags(signs);
}

/* Whether its backend has long not answered: another connection may have its ports now. */
static __always_inline bool opening_is_stale(const struct elb_opening *o)
{
    __u32 zero = 0, *time = bpf_map_lookup_elem(&elb_opening_time, &zero);

    return time && elb_now() - o->seen > *time;
}

/* Whether the client's packet goes where those before it went, or is placed anew: what opens
 * has no backend until one answers. */
static __always_inline bool opening_stays(const struct pkt *p, __u8 signs,
                                          const struct elb_opening *o)
{
    if (has_handshake(p) && !opens(signs))
        return true;
    return o->answered && !o->flags && !opening_is_stale(o);
}

/* Whether the client's packet shows that it has seen the backend's answer. */
static __always_inline bool opening_is_done(struct frame_ctx *ctx, const struct pkt *p, __u8 signs,
                                            const struct elb_opening *o)
{
    __be32 *words;

    if (!o->answered || o->flags || seen_flags(signs))
        return false;
    if (o->answered == 1)
        return true;
    words = frame_at(ctx, p->l4_off, 3 * sizeof(*words));
    /* The acknowledgment number, or SCTP's verification tag. */
    return words && signs & TCP_ACK && words[p->flow.proto == IPPROTO_SCTP ? 1 : 2] == o->expected;
}

/* Makes an opening connection an established one. A full table leaves it as it is: it goes
 * on, but may be forgotten before others. */
__noinline int conn_establish(struct elb_opening *o)
{
    struct pkt *p = pkt_get();
    struct elb_scratch *s = scratch_get();
    struct elb_backend_counter *c;
    struct elb_conn *conn;
    __u32 backend;
    long error;

    if (!p || !s)
        return 0;
    if (!o)
        return 0;
    backend = o->backend;
    flow_back(&p->flow, &s->back);
    s->back.saddr = o->addr;
    s->back.sport = o->port;
    conn = &s->conn;
    __builtin_memset(conn, 0, sizeof(*conn));
    conn->seen = elb_now();
    conn->backend = o->backend;
    conn->forward = o->forward;
    conn->rewrite = ELB_TO_CLIENT;
    conn->addr = p->flow.daddr;
    conn->port = p->flow.dport;
    if (o->forward == ELB_SOURCE_NAT) {
        s->back.daddr = o->far.addr;
        s->back.dport = o->far.port;
        conn->far.addr = p->flow.saddr;
        conn->far.port = p->flow.sport;
    }
    error = bpf_map_update_elem(&elb_conns, &s->back, conn, BPF_NOEXIST);
    /* With source NAT another CPU may have given the port to another client just now. */
    if (error == -EEXIST && conn->forward != ELB_SOURCE_NAT) {
        error = bpf_map_update_elem(&elb_conns, &s->back, conn, BPF_ANY);
        elb_epoch_next();
    }
    if (error)
        return 0;
    conn->addr = o->addr;
    conn->port = o->port;
    conn->rewrite = ELB_TO_BACKEND;
    conn->far = o->far;
    if (bpf_map_update_elem(&elb_conns, &p->flow, conn, BPF_ANY)) {
        bpf_map_delete_elem(&elb_conns, &s->back);
        elb_epoch_next();
        return 0;
    }
    c = bpf_map_lookup_elem(&elb_backend_counters, &backend);
    if (c)
        c->established++;
    active_begins(backend);
    opening_forget(&p->flow);
    opening_forget(&s->back);
    return 0;
}
