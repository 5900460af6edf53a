/* SPDX-License-Identifier: GPL-2.0-or-later */
/* elb: the short way for the first packet of most connections.
 *
 * It is for services that choose by their slots alone and of whose backends no other has
 * connections, elb_service.alone: there the
 * way back of a client's new connection can be no other connection's, and need not be looked
 * for. Of a flow that is known already place() has the whole story.
 */
#pragma once
#include "vnfs/elb/rewrite.h"
#include "vnfs/elb/slot.h"

/* Places a connection that opens: NEXT and the target, why not, or ELB_KNOWN: it has an entry
 * that leads elsewhere, or may have one while no slot leads anywhere, or the service is not alone
 * any more. */
__noinline __u32 place_alone(__u32 service, struct elb_target *t)
{
    struct elb_opening opening = {.rewrite = ELB_TO_BACKEND, .seen = elb_now()};
    struct pkt *p = pkt_get();
    struct elb_slot *slot;
    __u32 hash;
    int place;

    if (!p)
        return ELB_KNOWN;
    if (!t)
        return ELB_KNOWN;
    hash = flow_hash(&p->flow);
    slot = slot_at(service, hash);
    if (!slot || slot->forward != ELB_NAT)
        return ELB_KNOWN;
    opening.addr = t->addr = slot->addr;
    opening.port = t->port = slot->port ? slot->port : p->flow.dport;
    opening.backend = t->backend = slot->backend;
    t->rewrite = ELB_TO_BACKEND;
    t->forward = ELB_NAT;
    place = opening_enter(&p->flow, &opening, hash, true);
    if (place) {
        const struct elb_opening *known = opening_at(place);

        return known && opening_leads_to(known, t) ? NEXT : ELB_KNOWN;
    }
    count_placed(t->backend);
    return NEXT;
}
