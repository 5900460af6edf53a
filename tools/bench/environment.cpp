// SPDX-License-Identifier: GPL-2.0-or-later
#include "bench/environment.hpp"

#include <bpf/libbpf.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <ctime>
#include <fstream>

#include "bench/built.h"
#include "bench/revision.h"

namespace evnf::bench
{

namespace
{

std::string cpu_model()
{
    std::ifstream in("/proc/cpuinfo");
    for (std::string line; std::getline(in, line);)
        if (line.starts_with("model name"))
            return line.substr(line.find(": ") + 2);
    return "unknown";
}

long memory_mib()
{
    return ::sysconf(_SC_PHYS_PAGES) / 1024 * ::sysconf(_SC_PAGESIZE) / 1024;
}

// A kernel without the file has no other way than the JIT, or none.
bool bpf_jit()
{
    std::ifstream in("/proc/sys/net/core/bpf_jit_enable");
    int enabled = 1;
    in >> enabled;
    return !in || enabled > 0;
}

} // namespace

json environment()
{
    utsname name{};
    ::uname(&name);
    const std::time_t now = std::time(nullptr);
    char date[32];
    std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", std::gmtime(&now));
    std::string libbpf = libbpf_version_string();
    libbpf.erase(0, libbpf.find_first_of("0123456789"));
    return {{"format", "evnf-bench/1"},
            {"date", date},
            {"machine",
             {{"cpu", cpu_model()},
              {"cores", ::sysconf(_SC_NPROCESSORS_ONLN)},
              {"memory_mib", memory_mib()}}},
            {"kernel", std::string(name.release) + " " + name.machine},
            {"bpf_jit", bpf_jit()},
            {"versions", {{"evnf", BENCH_REVISION}, {"clang", BENCH_CLANG}, {"libbpf", libbpf}}}};
}

} // namespace evnf::bench
