// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/preflight.hpp"

#include <bpf/libbpf.h>
#include <cap-ng.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>

namespace evnf
{

namespace
{

struct Capability {
    unsigned number;
    const char *name;
    const char *why;
};
constexpr std::array capabilities{
    Capability{CAP_BPF, "CAP_BPF", "load programs and maps"},
    Capability{CAP_NET_ADMIN, "CAP_NET_ADMIN", "attach to interfaces and read routes"},
    Capability{CAP_PERFMON, "CAP_PERFMON", "load programs that work with pointers"},
};

struct Helper {
    bpf_func_id id;
    const char *name;
    const char *since;
};
constexpr std::array helpers{
    Helper{BPF_FUNC_redirect_map, "bpf_redirect_map", "4.14"},
    Helper{BPF_FUNC_fib_lookup, "bpf_fib_lookup", "4.18"},
    Helper{BPF_FUNC_ringbuf_output, "bpf_ringbuf_output", "5.8"},
    Helper{BPF_FUNC_ktime_get_coarse_ns, "bpf_ktime_get_coarse_ns", "5.11"},
    Helper{BPF_FUNC_xdp_load_bytes, "bpf_xdp_load_bytes", "5.18"},
};

} // namespace

std::vector<Lack> lacking_capabilities()
{
    std::vector<Lack> out;
    for (const auto &c : capabilities)
        if (!capng_have_capability(CAPNG_EFFECTIVE, c.number))
            out.push_back({c.name, std::string("to ") + c.why});
    return out;
}

std::vector<Lack> lacking_helpers()
{
    std::vector<Lack> out;
    for (const auto &h : helpers)
        if (libbpf_probe_bpf_helper(BPF_PROG_TYPE_XDP, h.id, nullptr) == 0)
            out.push_back({h.name, std::string("since Linux ") + h.since});
    return out;
}

Result<> check_privilege()
{
    std::string missing;
    for (const auto &lack : lacking_capabilities())
        missing += (missing.empty() ? "" : ", ") + lack.name + " (" + lack.reason + ")";
    if (missing.empty())
        return Unit{};
    return bad_input("not enough privilege: run as root, or with " + missing);
}

Result<> check_kernel()
{
    const auto lacking = lacking_helpers();
    if (lacking.empty())
        return Unit{};
    utsname kernel{};
    ::uname(&kernel);
    return bad_input(std::string("Linux ") + kernel.release +
                     " is too old: XDP programs cannot call " + lacking.front().name + " (" +
                     lacking.front().reason + ")");
}

} // namespace evnf
