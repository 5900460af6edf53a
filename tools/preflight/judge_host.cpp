// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/preflight/judge.hpp"

namespace evnf::preflight
{

namespace
{

std::string listed(const std::vector<Missing> &missing)
{
    std::string out;
    for (const auto &m : missing)
        out += (out.empty() ? "" : ", ") + m.name + " (" + m.reason + ")";
    return out;
}

Finding judge_kernel(const Host &h)
{
    Finding f{Level::ok, "host", "kernel", "Linux " + h.kernel};
    if (!h.helpers) {
        f.level = Level::note;
        f.text += ": what it lets XDP programs do is not known without privilege";
    } else if (!h.helpers->empty()) {
        f.level = Level::error;
        f.text += " is too old: XDP programs cannot call " + listed(*h.helpers);
    } else if (h.btf == false) {
        f.level = Level::error;
        f.text += " has no /sys/kernel/btf/vmlinux: programs cannot be fitted to it; it takes a "
                  "kernel with CONFIG_DEBUG_INFO_BTF, as Debian's are";
    } else {
        f.text += " can do what the fast path needs";
    }
    return f;
}

Finding judge_jit(const Host &h)
{
    Finding f{Level::ok, "host", "jit", "BPF programs become machine code"};
    if (!h.jit) {
        f.level = Level::note;
        f.text = "whether BPF programs become machine code is not known: "
                 "net.core.bpf_jit_enable cannot be read";
    } else if (*h.jit == 0) {
        f.level = Level::warning;
        f.text = "BPF programs are interpreted, which takes several times as long: the compiler is "
                 "off";
        f.mend = {{"sysctl", "-w", "net.core.bpf_jit_enable=1"}};
        f.safe = true;
    }
    return f;
}

} // namespace

std::vector<Finding> judge_host(const Host &h)
{
    std::vector<Finding> out{judge_kernel(h)};
    if (h.capabilities.empty())
        out.push_back({Level::ok, "host", "privilege", "enough to load and attach"});
    else
        out.push_back({Level::error, "host", "privilege",
                       "not enough: run as root, or with " + listed(h.capabilities)});
    out.push_back(judge_jit(h));
    if (h.bpffs == true)
        out.push_back({Level::ok, "host", "bpffs", "mounted at /sys/fs/bpf"});
    else if (h.bpffs == false)
        out.push_back({Level::error,
                       "host",
                       "bpffs",
                       "no BPF file system at /sys/fs/bpf: nothing can be pinned there",
                       {{"mount", "-t", "bpf", "bpf", "/sys/fs/bpf"}},
                       true});
    return out;
}

} // namespace evnf::preflight
