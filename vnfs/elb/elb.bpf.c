// SPDX-License-Identifier: GPL-2.0-or-later
/* elb: the load balancer's fast path.
 *
 *   connection known? ── yes ──> rewrite -> next
 *        │ no, or a SYN
 *   a service's address? ── no ──> next, untouched
 *        │ yes
 *   hash -> slot -> backend -> both directions into the table -> rewrite -> next
 *
 * DNAT towards the backend, and the reverse on the way back; the same stage does
 * both, in whichever chains it stands. Established connections do not look at the
 * slots, so changing weights or removing a backend moves none of them.
 */
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>

#include "lib/csum.h"
#include "lib/stage.h"
#include "vnfs/elb/abi.h"

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, ELB_MAX_SERVICES + ELB_MAX_SERVICES + ELB_MAX_BACKENDS);
    __type(key, struct elb_service_key);
    __type(value, struct elb_service);
} elb_services SEC(".maps");

struct elb_slot_table {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, ELB_SLOTS);
    __uint(key_size, sizeof(__u32)); /* clang 14 gives inner maps no full type */
    __uint(value_size, sizeof(struct elb_slot));
};

/* By elb_service.index; none where the service has no backend. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
    __uint(max_entries, ELB_MAX_SERVICES);
    __type(key, __u32);
    __array(values, struct elb_slot_table);
} elb_slots SEC(".maps");

/* Least recently used connections make room for new ones. The daemon sets the size. */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 131072);
    __type(key, struct flow_key);
    __type(value, struct elb_conn);
    __uint(pinning, LIBBPF_PIN_BY_NAME);
} elb_conns SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, ELB_MAX_BACKENDS);
    __type(key, __u32);
    __type(value, struct elb_backend_counter);
    __uint(pinning, LIBBPF_PIN_BY_NAME);
} elb_backend_counters SEC(".maps");

static __always_inline bool opens(const struct pkt *p)
{
    return p->flow.proto == IPPROTO_TCP &&
           (p->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) == TCP_SYN;
}

static __always_inline __u32 flow_hash(const struct flow_key *f)
{
    __u64 h = 0x2545f4914f6cdd1d; /* fixed: a restart must not place anew */
    const __u32 *w = (const __u32 *)f;

    for (int i = 0; i < (int)(sizeof(*f) / 4); i += 2) {
        h ^= (__u64)w[i] << 32 | w[i + 1];
        h *= 0x9e3779b97f4a7c15;
        h ^= h >> 32;
    }
    /* Once more: the ports came last, and a slot is the lowest bits. Else connections from
     * ports in a row, as clients open them, would share a few slots. */
    h *= 0xbf58476d1ce4e5b9;
    h ^= h >> 32;
    return (__u32)h;
}

static __always_inline bool same_addr(const struct ip_addr *a, const struct ip_addr *b)
{
    return a->w[0] == b->w[0] && a->w[1] == b->w[1] && a->w[2] == b->w[2] && a->w[3] == b->w[3];
}

/* Writes an address into the IP header, as source or as destination. */
static __always_inline bool write_addr(struct frame_ctx *ctx, struct pkt *p, enum elb_rewrite side,
                                       const struct ip_addr *to, __u64 delta)
{
    if (p->flow.family == 4) {
        struct iphdr *ip = frame_at(ctx, p->l3_off, sizeof(*ip));

        if (!ip)
            return false;
        ip->check = csum_update(ip->check, delta);
        if (side == ELB_TO_BACKEND)
            ip->daddr = to->w[3];
        else
            ip->saddr = to->w[3];
    } else {
        struct ipv6hdr *ip = frame_at(ctx, p->l3_off, sizeof(*ip));

        if (!ip)
            return false;
        __builtin_memcpy(side == ELB_TO_BACKEND ? &ip->daddr : &ip->saddr, to, sizeof(*to));
    }
    return true;
}

static __always_inline __u32 rewrite(struct frame_ctx *ctx, struct pkt *p,
                                     const struct elb_conn *conn)
{
    bool to_backend = conn->rewrite == ELB_TO_BACKEND;
    struct ip_addr *addr = to_backend ? &p->flow.daddr : &p->flow.saddr;
    __be16 *port = to_backend ? &p->flow.dport : &p->flow.sport;
    __u64 addr_delta = csum_delta_addr(addr, &conn->addr);
    __u32 backend = conn->backend;
    struct elb_backend_counter *c;
    __be16 *ports;

    pkt_rewritten(p);
    csum_rewrite(ctx, p, addr_delta, csum_delta16(*port, conn->port));
    if (!write_addr(ctx, p, conn->rewrite, &conn->addr, addr_delta))
        return SLOW_L4_UNKNOWN;
    ports = frame_at(ctx, p->l4_off, 2 * sizeof(*ports));
    if (!ports)
        return SLOW_L4_UNKNOWN;
    ports[to_backend ? 1 : 0] = conn->port;
    *addr = conn->addr;
    *port = conn->port;

    trace_detail(p, backend + 1);
    c = bpf_map_lookup_elem(&elb_backend_counters, &backend);
    if (c) {
        struct counter *way = to_backend ? &c->to_backend : &c->to_client;

        way->packets++;
        way->bytes += p->len;
    }
    return to_backend ? ELB_NEXT_BACKEND : ELB_NEXT_CLIENT;
}

static __always_inline __u32 rewrite_known(struct frame_ctx *ctx, struct pkt *p,
                                           struct elb_conn *conn)
{
    if ((p->tcp_flags & (TCP_FIN | TCP_RST)) && !conn->closing)
        conn->closing = 1;
    return rewrite(ctx, p, conn);
}

/* Whether the entry for the way back belongs to a living connection to another
 * service: two clients' connections, to two services, that would look the same
 * from this backend. */
static __always_inline bool way_back_taken(const struct pkt *p, const struct elb_conn *back)
{
    return back && !back->closing && p->flow.proto == IPPROTO_TCP &&
           !(same_addr(&back->addr, &p->flow.daddr) && back->port == p->flow.dport);
}

/* Places a new connection: gives NEXT and fills `conn`, or why not. `known` is the
 * entry that the table has for this flow: a SYN sent again keeps it. */
static __always_inline __u32 place(struct pkt *p, void *slots, const struct elb_conn *known,
                                   struct elb_conn *conn)
{
    struct elb_conn back_conn = {
        .addr = p->flow.daddr, .port = p->flow.dport, .rewrite = ELB_TO_CLIENT};
    struct flow_key back = {.daddr = p->flow.saddr,
                            .dport = p->flow.sport,
                            .proto = p->flow.proto,
                            .family = p->flow.family};
    __u32 hash = flow_hash(&p->flow);

    for (int i = 0; i < ELB_TRIES; i++) {
        __u32 at = hash & (ELB_SLOTS - 1);
        struct elb_slot *slot = bpf_map_lookup_elem(slots, &at);
        struct elb_backend_counter *c;
        __u32 backend;

        if (!slot)
            return ELB_SLOW_NO_BACKEND;
        back.saddr = slot->addr;
        back.sport = slot->port;
        if (way_back_taken(p, bpf_map_lookup_elem(&elb_conns, &back))) {
            hash = hash >> 8 | hash << 24; /* another slot, the same one each time */
            continue;
        }
        backend = slot->backend;
        back_conn.backend = backend;
        conn->addr = slot->addr;
        conn->port = slot->port;
        conn->backend = backend;
        if (known && !known->closing && known->port == conn->port &&
            same_addr(&known->addr, &conn->addr))
            return NEXT;
        if (bpf_map_update_elem(&elb_conns, &back, &back_conn, BPF_ANY) ||
            bpf_map_update_elem(&elb_conns, &p->flow, conn, BPF_ANY))
            return ELB_DROP_TABLE_FULL;
        c = bpf_map_lookup_elem(&elb_backend_counters, &backend);
        if (c)
            c->connections++;
        return NEXT;
    }
    return ELB_DROP_WAY_BACK;
}

static __always_inline bool known_host(const struct ip_addr *addr, __u8 family)
{
    struct elb_service_key host = {.addr = *addr, .family = family};

    return bpf_map_lookup_elem(&elb_services, &host) != NULL;
}

/* A packet whose ports cannot be seen, or not in all its fragments: if it may be
 * part of a connection of ours it cannot go on as if it were not. */
static __always_inline __u32 without_ports(const struct pkt *p)
{
    bool hidden = p->frag != PKT_FRAG_NONE || p->l4 == PKT_L4_BAD || p->l4 == PKT_L4_UNREAD ||
                  (p->flags & PKT_F_RTHDR);

    if (!hidden ||
        !(known_host(&p->flow.daddr, p->flow.family) || known_host(&p->flow.saddr, p->flow.family)))
        return NEXT;
    return p->frag != PKT_FRAG_NONE ? SLOW_FRAGMENT : SLOW_L4_UNKNOWN;
}

STAGE(elb)
{
    struct elb_conn conn = {.rewrite = ELB_TO_BACKEND};
    struct elb_service_key key = {
        .addr = p->flow.daddr,
        .port = p->flow.dport,
        .proto = p->flow.proto,
        .family = p->flow.family,
    };
    struct elb_service *service;
    struct elb_conn *known;
    __u32 index, reason;
    void *slots;

    if (p->l4 != PKT_L4_PORTS || p->frag != PKT_FRAG_NONE || (p->flags & PKT_F_RTHDR))
        return without_ports(p);

    known = bpf_map_lookup_elem(&elb_conns, &p->flow);
    if (known && !opens(p))
        return rewrite_known(ctx, p, known);
    service = bpf_map_lookup_elem(&elb_services, &key);
    if (!service)
        return known ? rewrite_known(ctx, p, known) : NEXT;

    index = service->index;
    slots = bpf_map_lookup_elem(&elb_slots, &index);
    if (!slots)
        return known && !known->closing ? rewrite_known(ctx, p, known) : ELB_SLOW_NO_BACKEND;
    reason = place(p, slots, known, &conn);
    return reason == NEXT ? rewrite(ctx, p, &conn) : reason;
}

char LICENSE[] SEC("license") = "GPL";
