// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/ahead.hpp"

#include <set>
#include <string>

namespace evnf
{

namespace
{

constexpr unsigned most = 2; // as root.bpf.c has maps for

} // namespace

Result<> read_ahead(bpf::MapSet &root, const std::vector<StageBehind> &stages)
{
    unsigned number = 0;
    std::set<const bpf::MapSet *> done;
    for (const auto &[stage, maps] : stages) {
        const bool first = done.empty(); // it asks at once itself
        if (!done.insert(maps).second || first || !stage->lines || number == most)
            continue;
        const std::string name = std::to_string(++number);
        auto fd = maps->fd(stage->lines);
        if (!fd)
            return fd.error();
        auto lines = bpf::entries_of(*fd);
        if (!lines)
            return lines.error();
        auto cpus = bpf::possible_cpus();
        if (!cpus)
            return cpus.error();
        if (auto r = root.lend("root_lines_" + name, *fd); !r)
            return r;
        root.set_size("root_lines_" + name, *lines);
        const auto owners = stage->lines_each_cpu ? static_cast<__u32>(*cpus) : 1;
        root.set_constant("root_ahead_" + name, *lines / owners);
        root.set_constant("root_ahead_" + name + "_each_cpu", stage->lines_each_cpu);
    }
    return Unit{};
}

} // namespace evnf
