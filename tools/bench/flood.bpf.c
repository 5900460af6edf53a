// SPDX-License-Identifier: GPL-2.0-or-later
// A frame goes out by the interface, each time from the next of some UDP ports. Its UDP
// checksum is absent.
#include <linux/bpf.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define HEADERS 42 /* Ethernet, IPv4, UDP */
#define SOURCE_PORT 34

const volatile __u32 interface = 0;
const volatile __u16 first_port = 1024, ports = 1;
__u8 headers[HEADERS];
__u32 sent = 0;

SEC("xdp")
int flood(struct xdp_md *ctx)
{
    __u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

    if (data + HEADERS > end)
        return XDP_ABORTED;
    /* The page has been used before, and has what hosts on the way have written into it. */
    __builtin_memcpy(data, headers, HEADERS);
    *(__u16 *)(data + SOURCE_PORT) = bpf_htons(first_port + sent++ % ports);
    return (int)bpf_redirect(interface, 0);
}
char LICENSE[] SEC("license") = "GPL";
