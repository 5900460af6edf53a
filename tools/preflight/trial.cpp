// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/preflight/trial.hpp"

#include <bpf/bpf.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <set>
#include <sstream>

#include "base/file.hpp"
#include "daemon/generation.hpp"
#include "daemon/preflight.hpp"
#include "daemon/surroundings.hpp"

namespace evnf::preflight
{

namespace
{

std::set<__u32> maps_now()
{
    std::set<__u32> out;
    for (__u32 id = 0; bpf_map_get_next_id(id, &id) == 0;)
        out.insert(id);
    return out;
}

// What the kernel counts for a map.
std::uint64_t bytes_of(__u32 id)
{
    const Fd map(bpf_map_get_fd_by_id(id));
    std::ifstream in("/proc/self/fdinfo/" + std::to_string(map.get()));
    for (std::string line; std::getline(in, line);) {
        std::istringstream words(line);
        std::string name;
        std::uint64_t bytes = 0;
        if (words >> name >> bytes && name == "memlock:")
            return bytes;
    }
    return 0;
}

// A BPF file system that only this process sees.
Result<> have_private_bpffs()
{
    if (::unshare(CLONE_NEWNS) || ::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) ||
        ::mount("bpf", "/sys/fs/bpf", "bpf", 0, nullptr))
        return sys_error("mount a BPF file system for the trial");
    return Unit{};
}

Result<Trial> load(const nlohmann::json &document)
{
    auto rtnl = Rtnl::open();
    if (!rtnl)
        return rtnl.error();
    auto links = rtnl->links();
    if (!links)
        return links.error();
    Pins pins("/sys/fs/bpf/evnf", "trial");
    if (auto r = pins.create(); !r)
        return r.error();
    const auto before = maps_now();
    auto generation = Generation::build(plan_of(document, *links), pins);
    if (!generation)
        return generation.error();
    Trial out;
    for (const __u32 id : maps_now())
        if (!before.contains(id))
            out.bytes += bytes_of(id);
    return out;
}

// In the child: an empty answer if it may not try.
std::string answer(const nlohmann::json &document)
{
    if (!have_private_bpffs())
        return "";
    const auto trial = load(document);
    return trial ? nlohmann::json{{"bytes", trial->bytes}}.dump()
                 : nlohmann::json{{"error", trial.error().message()}}.dump();
}

std::string read_all(const Fd &from)
{
    std::string out;
    std::array<char, 4096> part;
    for (ssize_t n = 0; (n = ::read(from.get(), part.data(), part.size())) > 0;)
        out.append(part.data(), static_cast<std::size_t>(n));
    return out;
}

} // namespace

Result<> read_plan(const nlohmann::json &document, Facts &facts)
{
    const Plan plan = plan_of(document, {});
    std::set<std::string> taps;
    for (const auto &i : plan.instances)
        if (i.exit == EXIT_TAP)
            taps.insert(i.tap);
    for (const auto &chain : plan.chains) {
        ChainFacts c{chain.name, chain.path, chain.generic, {}, {}, false, plan.resumes()};
        for (const auto &entry : chain.entries)
            c.receives.push_back(entry.interface);
        std::set<std::string> sends(taps);
        for (const auto &name : chain.interfaces())
            sends.insert(name);
        for (const auto &name : sends)
            if (std::find(c.receives.begin(), c.receives.end(), name) == c.receives.end())
                c.sends.push_back(name);
        c.routes = chain.has(Place::Kind::route);
        facts.chains.push_back(std::move(c));
    }
    auto rtnl = Rtnl::open();
    if (!rtnl)
        return rtnl.error();
    auto misfits = misfits_of(document, *rtnl);
    if (!misfits)
        return misfits.error();
    for (const auto &m : *misfits)
        facts.misfits.push_back({m.text, m.may_pass});
    return Unit{};
}

std::optional<Trial> try_out(const nlohmann::json &document)
{
    if (!lacking_capabilities().empty())
        return std::nullopt;
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC))
        return std::nullopt;
    const Fd from(ends[0]);
    Fd to(ends[1]);
    std::fflush(nullptr); // else the child has what is still to be printed, too
    const pid_t child = ::fork();
    if (child == 0) {
        const auto text = answer(document);
        const bool written = static_cast<bool>(write_all(to, text));
        ::_exit(written ? 0 : 1);
    }
    to = Fd();
    if (child < 0)
        return std::nullopt;
    const std::string text = read_all(from);
    int status = 0;
    ::waitpid(child, &status, 0);
    if (WIFSIGNALED(status))
        return Trial{"the trial was ended by signal " + std::to_string(WTERMSIG(status)), 0};
    const auto told = nlohmann::json::parse(text, nullptr, false);
    if (!told.is_object())
        return std::nullopt;
    return Trial{told.value("error", ""), told.value("bytes", std::uint64_t{0})};
}

} // namespace evnf::preflight
