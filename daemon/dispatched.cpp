// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/dispatched.hpp"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <sched.h>

#include <cerrno>
#include <thread>

namespace evnf
{

namespace
{

constexpr int loopback = 1; // the first interface of each namespace

} // namespace

Dispatched::Dispatched(Fd space, Fd link) : space_(std::move(space)), link_(std::move(link)) {}

Result<Dispatched> Dispatched::keep(int program)
{
    Fd space, link;
    int error = 0;
    // The namespace is this thread's alone.
    std::thread([&] {
        if (::unshare(CLONE_NEWNET) == 0)
            space = Fd(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
        if (space) {
            LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = XDP_FLAGS_SKB_MODE);
            link = Fd(bpf_link_create(program, loopback, BPF_XDP, &opts));
        }
        if (!link)
            error = errno;
    }).join();
    if (error)
        return sys_error("attach XDP in a network namespace of its own", error);
    return Dispatched(std::move(space), std::move(link));
}

} // namespace evnf
