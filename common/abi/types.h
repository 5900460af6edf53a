/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The building blocks of every layout that BPF programs and C++ share.
 *
 * A layout is written once, in common/abi/ or in a VNF's abi.h, in plain C with
 * fixed-width types, and proved in both languages by ABI_KEY or ABI_VALUE.
 * Byte order lives in the type: __be16 and __be32 are as on the wire, __u16 and
 * __u32 are the host's.
 */
#pragma once
#include <linux/types.h>

#ifdef __cplusplus
#include <type_traits>
/* Map keys compare as bytes, so a padding byte would be a lookup bug. */
#define ABI_KEY(T, size)                                                                           \
    static_assert(sizeof(T) == (size));                                                            \
    static_assert(std::has_unique_object_representations_v<T>)
#define ABI_VALUE(T, size)                                                                         \
    static_assert(sizeof(T) == (size));                                                            \
    static_assert(std::is_trivially_copyable_v<T>)
#else
#define ABI_KEY(T, size) _Static_assert(sizeof(T) == (size), #T " size")
#define ABI_VALUE(T, size) _Static_assert(sizeof(T) == (size), #T " size")
#endif

/* The version of every layout that is pinned and so outlives a daemon. Raise it
 * when one of them changes; a daemon refuses to adopt maps of another version. */
#define EVNF_ABI 4

/* An IPv4 or IPv6 address, as on the wire. IPv4 is held in its IPv4-mapped form,
 * ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2), so that one table serves both. */
struct ip_addr {
    __be32 w[4];
};
ABI_KEY(struct ip_addr, 16);

struct counter {
    __u64 packets;
    __u64 bytes; /* whole frames, from the first byte of the Ethernet header */
};
ABI_VALUE(struct counter, 16);
