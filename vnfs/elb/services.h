/* SPDX-License-Identifier: GPL-2.0-or-later */
/* elb: what is a service, and which hosts have to do with one. */
#pragma once
#include "lib/stage.h"
#include "vnfs/elb/abi.h"

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, ELB_MAX_PORTS + ELB_MAX_SERVICES + ELB_MAX_BACKENDS);
    __type(key, struct elb_service_key);
    __type(value, struct elb_service);
} elb_services SEC(".maps");

/* Ranges of ports. The longest prefix counts, so any range goes before all ports. */
struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(max_entries, ELB_MAX_PORTS *ELB_RANGE_PREFIXES);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct elb_range_key);
    __type(value, struct elb_service);
} elb_ranges SEC(".maps");

/* The service of a packet that none has by its very port; `key` is scratch. */
static __always_inline struct elb_service *service_of_range(const struct pkt *p,
                                                            struct elb_range_key *key)
{
    key->prefixlen = 8 * (sizeof(*key) - sizeof(key->prefixlen));
    key->addr = p->flow.daddr;
    key->proto = p->flow.proto;
    key->family = p->flow.family;
    key->port = p->flow.dport;
    return bpf_map_lookup_elem(&elb_ranges, key);
}

static __always_inline bool known_host(const struct ip_addr *addr, __u8 family)
{
    struct elb_service_key host = {.addr = *addr, .family = family};

    return bpf_map_lookup_elem(&elb_services, &host) != NULL;
}

/* Whether a packet comes from, or goes to, a host that is a service or a backend. */
static __always_inline bool of_known_host(const struct pkt *p)
{
    return known_host(&p->flow.daddr, p->flow.family) || known_host(&p->flow.saddr, p->flow.family);
}
