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
 * DNAT towards the backend, and the reverse on the way back; the same stage does
 * both, in whichever chains it stands. Established connections do not look at the
 * slots, so changing weights or removing a backend moves none of them.
 */
#include "vnfs/elb/alone.h"
#include "vnfs/elb/fragment.h"
#include "vnfs/elb/icmp.h"
#include "vnfs/elb/lines.h"
#include "vnfs/elb/local.h"
#include "vnfs/elb/place.h"

/* Whether the way back (s->back) is that of a living connection of this client to another
 * service of the same backend: both would look the same from there. One that is over gives
 * it free. */
static __always_inline bool way_back_taken(const struct pkt *p, struct elb_scratch *s, bool shared)
{
    const struct elb_conn *c = bpf_map_lookup_elem(&elb_conns, &s->back);
    const struct elb_opening *o;

    if (c && !(c->port == p->flow.dport && same_addr(&c->addr, &p->flow.daddr)))
        return !conn_is_over(&s->back, true);
    if (!shared || !has_handshake(p))
        return false;
    o = bpf_map_lookup_elem(&elb_openings, &s->back);
    if (!o || (o->port == p->flow.dport && same_addr(&o->addr, &p->flow.daddr)))
        return false;
    s->client = p->flow;
    s->client.daddr = o->addr;
    s->client.dport = o->port;
    o = bpf_map_lookup_elem(&elb_openings, &s->client); /* the client's side of it */
    return o && !o->flags && o->port == s->back.sport && same_addr(&o->addr, &s->back.saddr);
}

/* Places a new connection by the slots of index `service`: gives NEXT and fills `t`, or why
 * not. `known` is the entry that there is for this flow: a SYN sent again is the same
 * connection. */
__noinline __u32 place(__u32 service, struct elb_opening *known, struct elb_target *t)
{
    struct pkt *p = pkt_get();
    struct elb_scratch *s = scratch_get();
    __u32 hash;

    if (!s)
        return ELB_SLOW_NO_BACKEND;
    if (!p)
        return ELB_SLOW_NO_BACKEND;
    if (!t)
        return ELB_SLOW_NO_BACKEND;
    s->back = flow_back(&p->flow);
    hash = flow_hash(&p->flow);
    for (int i = 0; i < ELB_TRIES; i++) {
        struct elb_slot *slot = slot_at(service, hash);
        const struct elb_owner *owner;
        bool shared;

        if (!slot)
            return ELB_SLOW_NO_BACKEND;
        if (slot->choice && i == 0 && choose(service, slot->choice, hash, known))
            slot = &s->chosen;
        s->back.saddr = slot->addr;
        s->back.sport = slot->port ? slot->port : p->flow.dport;
        owner = owner_of(&s->back.saddr, s->back.sport, p->flow.proto, p->flow.family);
        shared = owner && owner->shared;
        if (way_back_taken(p, s, shared)) {
            hash = hash >> 8 | hash << 24; /* another slot, the same one each time */
            continue;
        }
        t->addr = slot->addr;
        t->port = s->back.sport;
        t->backend = slot->backend;
        t->rewrite = ELB_TO_BACKEND;
        s->opening = (struct elb_opening){.backend = t->backend, .seen = elb_now()};
        if (shared) {
            s->opening.addr = p->flow.daddr;
            s->opening.port = p->flow.dport;
            s->opening.rewrite = ELB_TO_CLIENT;
            if (bpf_map_update_elem(&elb_openings, &s->back, &s->opening, BPF_ANY))
                return ELB_DROP_TABLE_FULL;
        }
        if (known && opening_leads_to(known, t))
            return NEXT;
        count_moved(known, t->backend);
        s->opening.addr = t->addr;
        s->opening.port = t->port;
        s->opening.rewrite = ELB_TO_BACKEND;
        if (bpf_map_update_elem(&elb_openings, &p->flow, &s->opening, BPF_ANY))
            return ELB_DROP_TABLE_FULL;
        count_placed(t->backend);
        return NEXT;
    }
    return ELB_DROP_WAY_BACK;
}

/* A packet that is a fragment, or whose ports cannot be seen: if it may be part of a
 * connection of ours it cannot go on as if it were not. AS_WHOLE: it goes on as usual. */
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
    *t = (struct elb_target){o->addr, o->port, o->backend, ELB_TO_BACKEND};
    if (opening_is_done(ctx, p, signs, o))
        conn_establish(o);
    else if (seen_flags(signs) & ~o->flags)
        o->flags |= seen_flags(signs);
}

/* Whether a packet is a backend's answer to an opening connection: then `t` is its service. */
__noinline int answers(struct frame_ctx *ctx, struct elb_target *t)
{
    struct pkt *p = pkt_get();
    struct elb_opening *o;
    struct flow_key client;

    if (!p)
        return 0;
    if (!t)
        return 0;
    o = opening_answered(&p->flow, &client);
    if (!o)
        return 0;
    opening_answer(ctx, p, o);
    *t = (struct elb_target){client.daddr, client.dport, o->backend, ELB_TO_CLIENT};
    return 1;
}

/* A packet that has ports; one with a target is rewritten. */
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
        *t = (struct elb_target){line->addr, line->port, line->backend, line->rewrite};
        return rewrite(ctx, p, t);
    }
    c = bpf_map_lookup_elem(&elb_conns, &p->flow);
    if (c && !(opens(signs) && c->rewrite == ELB_TO_BACKEND && conn_is_over(&p->flow, false))) {
        conn_seen(signs, c);
        *t = (struct elb_target){c->addr, c->port, c->backend, c->rewrite};
        elb_line_keep(p, signs, t, epoch);
        return rewrite(ctx, p, t);
    }
    if (opens(signs)) {
        service = bpf_map_lookup_elem(&elb_services, &key);
        if (service && service->alone) {
            reason = place_alone(service->index, t);
            if (reason != ELB_KNOWN)
                return reason == NEXT ? rewrite(ctx, p, t) : reason;
        }
    }
    opening = bpf_map_lookup_elem(&elb_openings, &p->flow);
    if (opening && opening->rewrite == ELB_TO_CLIENT)
        opening = NULL; /* the backend's side of one */
    if (opening && opening_stays(p, signs, opening)) {
        opening_goes_on(ctx, p, signs, opening, t);
        return rewrite(ctx, p, t);
    }
    if (!opens(signs))
        service = bpf_map_lookup_elem(&elb_services, &key);
    if (!service && many_ports()) {
        struct elb_scratch *s = scratch_get();

        if (s)
            service = service_of_range(p, &s->range);
    }
    __builtin_memset(t, 0, sizeof(*t));
    if (!service) {
        if (answers(ctx, t))
            return rewrite(ctx, p, t);
        if (!opening)
            return NEXT;
        opening_goes_on(ctx, p, signs, opening, t);
        return rewrite(ctx, p, t);
    }

    if (!opening && p->flow.proto == IPPROTO_TCP && !opens(signs) && is_connection_here(ctx))
        return NEXT;
    reason = place(service->index, opening, t);
    return reason == NEXT ? rewrite(ctx, p, t) : reason;
}

STAGE(elb)
{
    struct elb_target t;
    __u32 reason;

    if (p->l4 != PKT_L4_PORTS || p->frag != PKT_FRAG_NONE || (p->flags & PKT_F_RTHDR)) {
        reason = unusual(ctx, p);
        if (reason != AS_WHOLE)
            return reason;
    }
    t.backend = 0;
    reason = balance(ctx, p, &t);
    if (p->frag != PKT_FRAG_NONE)
        fragment_note(reason, t.backend);
    return reason;
}

char LICENSE[] SEC("license") = "GPL";
