// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/tcfilter.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cerrno>
#include <string>

namespace evnf::tc
{

namespace
{

constexpr __u32 priority = 1; // the first

bpf_tc_hook hook_of(unsigned ifindex, Hook hook)
{
    bpf_tc_hook h{};
    h.sz = sizeof h;
    h.ifindex = static_cast<int>(ifindex);
    h.attach_point = hook == Hook::ingress ? BPF_TC_INGRESS : BPF_TC_EGRESS;
    return h;
}

} // namespace

Result<> attach(unsigned ifindex, Hook hook, unsigned handle, int program)
{
    bpf_tc_hook h = hook_of(ifindex, hook);
    if (int err = bpf_tc_hook_create(&h); err && err != -EEXIST)
        return sys_error("make the clsact qdisc of interface " + std::to_string(ifindex), err);
    LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = program, .flags = BPF_TC_F_REPLACE, .handle = handle,
                .priority = priority);
    if (int err = bpf_tc_attach(&h, &opts))
        return sys_error("put a tc filter of priority 1 on interface " + std::to_string(ifindex) +
                             (err == -EINVAL ? " (has another kind of filter this priority?)" : ""),
                         err);
    return Unit{};
}

Fd program(unsigned ifindex, Hook hook, unsigned handle)
{
    const bpf_tc_hook h = hook_of(ifindex, hook);
    LIBBPF_OPTS(bpf_tc_opts, opts, .handle = handle, .priority = priority);
    const auto print = libbpf_set_print(nullptr); // it may not be there, which is no fault
    const int err = bpf_tc_query(&h, &opts);
    libbpf_set_print(print);
    return err ? Fd() : Fd(bpf_prog_get_fd_by_id(opts.prog_id));
}

void detach(unsigned ifindex, Hook hook, unsigned handle)
{
    const bpf_tc_hook h = hook_of(ifindex, hook);
    LIBBPF_OPTS(bpf_tc_opts, opts, .handle = handle, .priority = priority);
    const auto print = libbpf_set_print(nullptr); // it may not be there, which is no fault
    bpf_tc_detach(&h, &opts);
    libbpf_set_print(print);
}

} // namespace evnf::tc
