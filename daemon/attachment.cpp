// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/attachment.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <unistd.h>

#include "daemon/pins.hpp"

namespace evnf
{

namespace
{

Result<bpf_link_info> info_of(int link)
{
    bpf_link_info info{};
    __u32 size = sizeof info;
    if (bpf_obj_get_info_by_fd(link, &info, &size))
        return sys_error("read link info");
    return info;
}

// Whose program stands in the way.
Error busy(const std::string &interface, unsigned ifindex, const std::string &pin_root)
{
    __u32 id = 0;
    if (bpf_xdp_query_id(static_cast<int>(ifindex), 0, &id) || id == 0)
        return bad_input(interface + " has another XDP program");
    if (const std::string owner = Pins::owner_of(pin_root, id); !owner.empty())
        return bad_input(interface + " belongs to evnfd '" + owner +
                         "': take it out of one of the two configurations, or end that one with "
                         "evnfd --name " +
                         owner + " --detach");
    return bad_input(interface + " has another XDP program, '" + program_name(id) + "' (id " +
                     std::to_string(id) + "): remove it, for example with ip link set dev " +
                     interface + " xdp off, or with what loaded it");
}

Error refused(const std::string &interface, bool generic, int code)
{
    Error e = sys_error("attach XDP to " + interface, code);
    if (!generic && (code == EOPNOTSUPP || code == ENOTSUP))
        e.what += ": its driver has no native XDP; xdp = \"generic\" in the chain works "
                  "with any driver, but slowly";
    else if (!generic && (code == EINVAL || code == ENOMEM))
        e.what += ": its driver refused, perhaps for its MTU, its number of queues or an "
                  "offload (see dmesg)";
    return e;
}

} // namespace

std::string program_name(unsigned id)
{
    const Fd program(bpf_prog_get_fd_by_id(id));
    bpf_prog_info info{};
    __u32 size = sizeof info;
    if (!program || bpf_obj_get_info_by_fd(program.get(), &info, &size))
        return "?";
    return info.name;
}

Result<Attachment> Attachment::adopt(const std::string &path, unsigned ifindex)
{
    Fd link(bpf_obj_get(path.c_str()));
    if (!link)
        return Attachment(Fd(), path);
    auto info = info_of(link.get());
    if (!info)
        return info.error();
    if (info->xdp.ifindex != ifindex) { // that interface is gone; this one is new
        if (::unlink(path.c_str()))
            return sys_error("remove " + path);
        return Attachment(Fd(), path);
    }
    // The number may be that of another interface, in another network namespace.
    __u32 attached = 0;
    if (bpf_xdp_query_id(static_cast<int>(ifindex), 0, &attached) || attached != info->prog_id)
        return bad_input(path + " is attached to an interface of another network namespace: run "
                                "evnfd there, under another name here, or evnfd --detach first");
    return Attachment(std::move(link), path);
}

Result<Attachment> Attachment::attach(const std::string &path, const std::string &interface,
                                      unsigned ifindex, int program, bool generic,
                                      const std::string &pin_root)
{
    LIBBPF_OPTS(bpf_link_create_opts, opts,
                .flags = generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE);
    Fd link(bpf_link_create(program, static_cast<int>(ifindex), BPF_XDP, &opts));
    if (!link) {
        const int code = errno;
        if (code == EBUSY || code == EEXIST)
            return busy(interface, ifindex, pin_root);
        return refused(interface, generic, code);
    }
    if (bpf_obj_pin(link.get(), path.c_str()))
        return sys_error("pin " + path);
    return Attachment(std::move(link), path);
}

Result<> Attachment::replace(int program)
{
    if (bpf_link_update(link_.get(), program, nullptr))
        return sys_error("replace the program of " + path_);
    return Unit{};
}

Result<unsigned> Attachment::program_id() const
{
    auto info = info_of(link_.get());
    if (!info)
        return info.error();
    return info->prog_id;
}

Result<> Attachment::detach() &&
{
    if (::unlink(path_.c_str()) && errno != ENOENT)
        return sys_error("remove " + path_);
    link_ = Fd();
    return Unit{};
}

std::string attached_mode(unsigned ifindex)
{
    LIBBPF_OPTS(bpf_xdp_query_opts, opts);
    if (bpf_xdp_query(static_cast<int>(ifindex), 0, &opts))
        return "";
    switch (opts.attach_mode) {
    case XDP_ATTACHED_DRV:
        return "native";
    case XDP_ATTACHED_SKB:
        return "generic";
    default:
        return "";
    }
}

} // namespace evnf
