// SPDX-License-Identifier: GPL-2.0-or-later
/* elb: the load balancer's fast path.
 *
 *   later fragment ── as its first (elb_fragments) ────────────> rewrite -> next
 *   ICMP error about a connection ─────────────────────────────> rewrite -> next
 *   met on this CPU of late (elb_lines)? ── yes ───────────────> rewrite -> next
 *   established (elb_conns)? ── yes ───────────────────────────> rewrite -> next
 *        │ no, or it opens anew
 *   opens one to a service alone with its backends ─> slot ────> rewrite -> next
 *        │ no, or is known to elb_openings
 *   opening (elb_openings), or a backend's answer to one? ─────> rewrite -> next
 *        │ no
 *   a service's address? ── no ──> next, untouched
 *        │ yes
 *   under way with a socket of this host? ── yes ──> next, untouched
 *        │ no
 *   hash -> slot -> backend (place.h) -> elb_openings ─────────> rewrite -> next
 *
 * "Rewrite" is DNAT towards the backend, and the reverse on the way back; the same stage does
 * both, in whichever chains it stands. Other ways to backends are in forward.h. Established
 * connections do not look at the slots, so changing weights or removing a backend moves none of
 * them.
 */
#include "vnfs/elb/alone.h"
#include "vnfs/elb/forward.h"
#include "vnfs/elb/fragment.h"
#include "vnfs/elb/icmp.h"
#include "vnfs/elb/lines.h"
#include "vnfs/elb/local.h"
#include "vnfs/elb/place.h"
#include "vnfs/elb/source.h"

/* Whether the way back (s->back) is that of a living connection of this client to another
 * service of the same backend: both would look the same from there. One that is over gives
 * it free. */
static __always_inline bool way_back_taken(const struct pkt *p, struct elb_scratch *s, bool shared)
{
    const struct elb_conn *c = bpf_map_lookup_elem(&elb_conns, &s->back);
    const struct elb_opening *o;

    if (c &&
        (c->forward != ELB_NAT || c->port != p->flow.dport || !same_addr(&c->addr, &p->flow.daddr)))
        return !conn_is_over(&s->back, true);
    if (!shared || !has_handshake(p))
        return false;
    o = opening_lookup(&s->back);
    if (!o)
        return false;
    client_of(&s->client, &s->back, o);
    if (same_flow(&s->client, &p->flow))
        return false;
    o = opening_lookup(&s->client); /* the client's side of it */
    return o && !o->flags && opening_has_back(o, &s->back);
}

/* The hash for another slot, the same one each time. */
static __always_inline __u32 next_try(__u32 hash)
{
    return hash >> 8 | hash << 24;
}

/* Notes a connection that is opening, to this target; s->opening has what is particular to it. */
static __always_inline void opening_put(struct pkt *p, struct elb_scratch *s,
                                        const struct elb_opening *known, const struct elb_target *t)
{
    count_moved(known, t->backend);
    s->opening.addr = t->addr;
    s->opening.port = t->port;
    s->opening.rewrite = ELB_TO_BACKEND;
    opening_enter(&p->flow, &s->opening, flow_hash(&p->flow), false);
    count_placed(t->backend);
}

/* place() by a slot that is not of ELB_NAT; fills s->far too. */
__noinline __u32 place_far(struct elb_opening *known, struct elb_target *t)
{
    struct elb_scratch *s = scratch_get();
    struct pkt *p = pkt_get();
    __u32 hash;

    if (!p || !s)
        return ELB_SLOW_NO_BACKEND;
    if (!t)
        return ELB_SLOW_NO_BACKEND;
    if (known && opening_leads_to(known, t)) { /* and way_kept() */
        s->far = known->far;
        return NEXT;
    }
    hash = flow_hash(&p->flow);
    __builtin_memset(&s->opening, 0, sizeof(s->opening));
    s->opening.backend = t->backend;
    s->opening.forward = t->forward;
    s->opening.seen = elb_now();
    if (t->forward == ELB_SOURCE_NAT) {
        if (!way_find(hash))
            return ELB_DROP_SOURCES;
        way_put(p, s);
        s->far.addr = s->back.daddr;
        s->far.port = s->back.dport;
    } else {
        if (t->forward == ELB_TUNNEL && !tunnel_source(s, hash))
            return ELB_DROP_SOURCES;
        /* The backend's answers are not seen; a client's first datagram is enough. */
        s->opening.answered = !has_handshake(p);
    }
    s->opening.far = s->far;
    opening_put(p, s, known, t);
    return NEXT;
}

/* Places a new connection by the slots of index `service`: gives NEXT and fills `t`, or why
 * not. `known` is the entry that there is for this flow: a SYN sent again is the same
 * connection. */
__noinline __u32 place(__u32 service, struct elb_opening *known, struct elb_target *t)
{
    struct pkt *p = pkt_get();
    struct elb_scratch *s = scratch_get();
    __u32 hash, reason = ELB_SLOW_NO_BACKEND;

    if (!s)
        return ELB_SLOW_NO_BACKEND;
    if (!p)
        return ELB_SLOW_NO_BACKEND;
    if (!t)
        return ELB_SLOW_NO_BACKEND;
    flow_back(&p->flow, &s->back);
    hash = flow_hash(&p->flow);
    for (int i = 0; i < ELB_TRIES; i++) {
        struct elb_slot *slot = slot_at(service, hash);
        const struct elb_owner *owner;
        bool shared;

        if (!slot)
            return ELB_SLOW_NO_BACKEND;
        t->forward = slot->forward;
        s->terms = ELB_TERMS(service, slot->choice);
        if (slot->choice & ELB_CHOOSE && i == 0 && choose(service, slot->choice, hash, known))
            slot = &s->chosen;
        s->back.saddr = t->addr = slot->addr;
        s->back.sport = t->port = slot->port ? slot->port : p->flow.dport;
        t->backend = slot->backend;
        t->rewrite = ELB_TO_BACKEND;
        if (t->forward != ELB_NAT) {
            reason = place_far(known, t);
            if (reason != ELB_DROP_SOURCES)
                return reason;
            hash = next_try(hash);
            continue;
        }
        owner = owner_of(s, &s->back);
        shared = owner && owner->shared;
        if (way_back_taken(p, s, shared)) {
            reason = ELB_DROP_WAY_BACK;
            hash = next_try(hash);
            continue;
        }
        __builtin_memset(&s->opening, 0, sizeof(s->opening));
        s->opening.backend = t->backend;
        s->opening.seen = elb_now();
        if (shared)
            way_put(p, s);
        if (known && opening_leads_to(known, t))
            return NEXT;
        opening_put(p, s, known, t);
        return NEXT;
    }
    return reason;
}

/* A packet that is a fragment, or whose ports cannot be seen: if it may be part of a
 * connection of ours it cannot go on as if it were not. Gives ELB_AS_WHOLE for a first fragment,
 * or ELB_FORWARD. */
__noinline __u32 unusual(struct frame_ctx *ctx, struct pkt *p)
{
    bool hidden;

    if (!p)
        return SLOW_L4_UNKNOWN;
    if (p->frag != PKT_FRAG_NONE && p->l4 != PKT_L4_UNREAD && !(p->flags & PKT_F_RTHDR) &&
        (p->flow.proto == IPPROTO_TCP || p->flow.proto == IPPROTO_UDP ||
         p->flow.proto == IPPROTO_SCTP))
        return fragment(ctx, p);
    hidden = p->frag != PKT_FRAG_NONE || p->l4 == PKT_L4_BAD || p->l4 == PKT_L4_UNREAD ||
             (p->flags & PKT_F_RTHDR);

    if (!hidden)
        return p->flags & PKT_F_QUOTED ? icmp_error(ctx, p) : NEXT;
    if (!of_known_host(p))
        return NEXT;
    return p->frag != PKT_FRAG_NONE ? SLOW_FRAGMENT : SLOW_L4_UNKNOWN;
}

/* A client's packet of an opening connection. */
static __always_inline void opening_goes_on(struct frame_ctx *ctx, struct pkt *p, __u8 signs,
                                            struct elb_opening *o, struct elb_target *t)
{
    opening_target(o, t);
    if (o->forward != ELB_NAT) {
        far_keep(&o->far); /* the entry may be gone then */
        if (ELB_ONE_WAY(o->forward))
            return opening_seen(signs, o);
    }
    if (opening_is_done(ctx, p, signs, o))
        conn_establish(o);
    else if (seen_flags(signs) & ~o->flags)
        o->flags |= seen_flags(signs);
}

/* Whether a packet is a backend's answer to an opening connection: then `t` is its service. */
__noinline int answers(struct frame_ctx *ctx, struct elb_target *t)
{
    struct elb_scratch *s = scratch_get();
    struct pkt *p = pkt_get();
    struct elb_opening *o;

    if (!p || !s)
        return 0;
    if (!t)
        return 0;
    o = opening_answered(s, &p->flow);
    if (!o)
        return 0;
    opening_answer(ctx, p, o);
    answer_target(o, &s->client, t, &s->far);
    return 1;
}

/* A packet that has ports. Gives its reason, or fills `t` and gives ELB_FORWARD. */
static __always_inline __u32 balance(struct frame_ctx *ctx, struct pkt *p, struct elb_target *t)
{
    struct elb_service_key key = {
        .addr = p->flow.daddr,
        .port = p->flow.dport,
        .proto = p->flow.proto,
        .family = p->flow.family,
    };
    struct elb_service *service = NULL;
    struct elb_opening *opening;
    __u8 signs = signs_of(ctx, p);
    struct elb_line *line;
    struct elb_conn *c;
    __u32 reason, epoch = elb_epoch_now();

    line = elb_line_find(p, signs, epoch);
    if (line) {
        *t = (struct elb_target){.addr = line->addr,
                                 .port = line->port,
                                 .backend = line->backend,
                                 .rewrite = line->rewrite};
        return ELB_FORWARD;
    }
    c = bpf_map_lookup_elem(&elb_conns, &p->flow);
    if (c && !(opens(signs) && c->rewrite == ELB_TO_BACKEND && conn_is_over(&p->flow, false))) {
        conn_seen(signs, c);
        conn_target(c, t);
        if (c->forward == ELB_NAT)
            elb_line_keep(p, signs, t, epoch);
        else
            far_keep(&c->far);
        return ELB_FORWARD;
    }
    if (opens(signs)) {
        service = bpf_map_lookup_elem(&elb_services, &key);
        if (service && service->alone) {
            reason = place_alone(service->index, t);
            if (reason != ELB_KNOWN)
                return reason == NEXT ? ELB_FORWARD : reason;
        }
    }
    opening = opening_lookup(&p->flow);
    if (opening && (opening->rewrite == ELB_TO_CLIENT ||
                    (opening->forward == ELB_SOURCE_NAT && !way_kept(opening))))
        opening = NULL; /* the backend's side of one, or one without answers */
    if (!opening || !opening_stays(p, signs, opening)) {
        if (!opens(signs))
            service = bpf_map_lookup_elem(&elb_services, &key);
        if (!service && many_ports()) {
            struct elb_scratch *s = scratch_get();

            if (s)
                service = service_of_range(p, &s->range);
        }
        __builtin_memset(t, 0, sizeof(*t));
        if (service) {
            if (!opening && p->flow.proto == IPPROTO_TCP && !opens(signs) &&
                is_connection_here(ctx))
                return NEXT;
            reason = place(service->index, opening, t);
            return reason == NEXT ? ELB_FORWARD : reason;
        }
        if (answers(ctx, t))
            return ELB_FORWARD;
        if (!opening)
            return NEXT;
    }
    opening_goes_on(ctx, p, signs, opening, t);
    return ELB_FORWARD;
}

STAGE(elb)
{
    struct elb_target t;
    bool first = false;
    __u32 reason;

    if (p->l4 != PKT_L4_PORTS || p->frag != PKT_FRAG_NONE || (p->flags & PKT_F_RTHDR)) {
        reason = unusual(ctx, p);
        if (reason == ELB_FORWARD)
            return forward_to(ctx, NULL);
        if (reason != ELB_AS_WHOLE)
            return reason;
        first = true;
    }
    t.backend = 0;
    t.forward = ELB_NAT;
    reason = balance(ctx, p, &t);
    if (reason == ELB_FORWARD)
        reason = t.forward == ELB_NAT ? rewrite(ctx, p, &t, NULL) : forward_to(ctx, &t);
    if (first)
        fragment_note(reason, t.backend, t.forward);
    return reason;
}

char LICENSE[] SEC("license") = "GPL";
