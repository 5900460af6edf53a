// SPDX-License-Identifier: GPL-2.0-or-later
#include <linux/magic.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/net.hpp"
#include "daemon/preflight.hpp"
#include "tools/preflight/gather.hpp"

namespace evnf::preflight
{

namespace fs = std::filesystem;

namespace
{

constexpr unsigned most_cpus = 8192; // that Linux can have

std::optional<std::uint64_t> number_in(const std::string &path)
{
    const std::string line = line_of(path);
    auto n = parse_number(line, 0, UINT64_MAX, path);
    return n ? std::optional(*n) : std::nullopt;
}

std::vector<Missing> missing_of(const std::vector<Lack> &lacking)
{
    std::vector<Missing> out;
    for (const auto &lack : lacking)
        out.push_back({lack.name, lack.reason});
    return out;
}

std::optional<std::uint64_t> available_memory()
{
    std::ifstream in("/proc/meminfo");
    for (std::string line; std::getline(in, line);) {
        std::istringstream words(line);
        std::string name;
        std::uint64_t kib = 0;
        if (words >> name >> kib && name == "MemAvailable:")
            return kib << 10;
    }
    return std::nullopt;
}

// Of this process's control group and all that it is in (version 2).
std::optional<std::uint64_t> memory_left()
{
    std::ifstream in("/proc/self/cgroup");
    std::optional<std::uint64_t> least;
    for (std::string line; std::getline(in, line);) {
        if (!line.starts_with("0::/"))
            continue;
        for (std::string group = line.substr(3); group.size() > 1;
             group = fs::path(group).parent_path()) {
            const auto max = number_in("/sys/fs/cgroup" + group + "/memory.max");
            const auto used = number_in("/sys/fs/cgroup" + group + "/memory.current");
            if (max && used)
                least = std::min(least.value_or(UINT64_MAX), *max > *used ? *max - *used : 0);
        }
    }
    return least;
}

// In the kernel, loaded, or there to be loaded.
std::optional<bool> has_module(const std::string &release, const std::string &name)
{
    std::error_code ec;
    if (fs::exists("/sys/module/" + name, ec))
        return true;
    bool known = true;
    for (const char *list : {"modules.builtin", "modules.dep"}) {
        std::ifstream in("/lib/modules/" + release + "/" + list);
        known = known && in.is_open();
        for (std::string line; std::getline(in, line);)
            if (line.find("/" + name + ".ko") != line.npos)
                return true;
    }
    return known ? std::optional(false) : std::nullopt;
}

std::optional<bool> runs(const std::string &program)
{
    std::error_code ec;
    fs::directory_iterator processes("/proc", ec);
    if (ec)
        return std::nullopt;
    for (const auto &entry : processes)
        if (line_of(entry.path() / "comm") == program)
            return true;
    return false;
}

std::optional<bool> is_bpffs(const char *path)
{
    struct statfs where {
    };
    if (::statfs(path, &where))
        return std::nullopt;
    return where.f_type == BPF_FS_MAGIC;
}

} // namespace

std::string line_of(const std::string &path)
{
    std::ifstream in(path);
    std::string line;
    std::getline(in, line);
    return line;
}

std::vector<unsigned> parse_cpus(const std::string &text)
{
    std::vector<unsigned> out;
    std::istringstream ranges(text);
    for (std::string range; std::getline(ranges, range, ',');) {
        const auto dash = range.find('-');
        const auto first = parse_number(range.substr(0, dash), 0, most_cpus - 1, "CPU");
        const auto last = dash == range.npos
                              ? first
                              : parse_number(range.substr(dash + 1), 0, most_cpus - 1, "CPU");
        if (!first || !last)
            return {};
        for (auto cpu = *first; cpu <= *last; ++cpu)
            out.push_back(static_cast<unsigned>(cpu));
    }
    return out;
}

Host read_host()
{
    Host h;
    utsname kernel{};
    ::uname(&kernel);
    h.kernel = kernel.release;
    h.cpus = static_cast<unsigned>(parse_cpus(line_of("/sys/devices/system/cpu/online")).size());
    h.cpus_possible =
        static_cast<unsigned>(parse_cpus(line_of("/sys/devices/system/cpu/possible")).size());
    h.page_size = static_cast<std::uint64_t>(std::max(0L, ::sysconf(_SC_PAGESIZE)));
    std::error_code ec;
    const bool has_sysfs = fs::exists("/sys/kernel", ec);
    if (has_sysfs)
        h.btf = fs::exists("/sys/kernel/btf/vmlinux", ec);
    if (const auto jit = number_in("/proc/sys/net/core/bpf_jit_enable"))
        h.jit = static_cast<int>(*jit);
    h.bpffs = is_bpffs("/sys/fs/bpf");
    h.clsact = has_module(h.kernel, "sch_ingress");
    h.capabilities = missing_of(lacking_capabilities());
    if (h.capabilities.empty())
        h.helpers = missing_of(lacking_helpers());
    h.memory_available = available_memory();
    h.memory_left = memory_left();
    h.irqbalance = runs("irqbalance");
    return h;
}

} // namespace evnf::preflight
