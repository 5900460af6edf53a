// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/offload/watcher.hpp"

#include <bpf/btf.h>
#include <ctime>

#include <algorithm>
#include <condition_variable>
#include <string_view>

namespace evnf::efw::offload
{

namespace
{

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

// As bpf_ktime_get_coarse_ns() has it.
std::uint64_t now_ns()
{
    timespec t{};
    ::clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000 +
           static_cast<std::uint64_t>(t.tv_nsec);
}

Result<std::vector<Link>> read_links()
{
    auto rtnl = Rtnl::open();
    if (!rtnl)
        return rtnl.error();
    auto links = rtnl->links();
    if (links)
        std::erase_if(*links, [](const Link &l) { return !l.ethernet; });
    if (links && links->size() > EFW_MAX_LINKS)
        links->resize(EFW_MAX_LINKS); // the others' packets are netfilter's
    return links;
}

Result<Host> host_of(const std::vector<Link> &links)
{
    std::vector<std::string> names;
    for (const auto &l : links)
        names.push_back(l.name);
    return read_host(names);
}

} // namespace

bool kernel_shows_generation()
{
    btf *types = btf__load_vmlinux_btf();
    if (!types)
        return false;
    bool shown = false;
    const int id = btf__find_by_name_kind(types, "netns_nftables", BTF_KIND_STRUCT);
    if (id >= 0 && btf__find_by_name_kind(types, "bpf_cast_to_kern_ctx", BTF_KIND_FUNC) >= 0) {
        const btf_type *type = btf__type_by_id(types, static_cast<__u32>(id));
        const btf_member *member = btf_members(type);
        for (int i = 0; i < btf_vlen(type); ++i)
            shown = shown ||
                    std::string_view("base_seq") == btf__name_by_offset(types, member[i].name_off);
    }
    btf__free(types);
    return shown;
}

Result<std::unique_ptr<Watcher>> Watcher::start(const bpf::MapSet &maps, Put put)
{
    auto fd = maps.fd("efw_offload");
    if (!fd)
        return fd.error();
    auto state = bpf::Mapping::of_array(*fd, sizeof(efw_offload));
    if (!state)
        return state.error();
    auto links = bpf::Map<__u32, efw_link>::bind(maps, "efw_offload_links");
    if (!links)
        return links.error();
    return std::unique_ptr<Watcher>(new Watcher(*std::move(state), *links, std::move(put)));
}

Watcher::Watcher(bpf::Mapping state, bpf::Map<__u32, efw_link> links, Put put)
    : state_(std::move(state)),
      links_(links),
      put_(std::move(put))
{
    status_.state = "reading";
    status_.seen_by_kernel = kernel_shows_generation();
    thread_ = std::jthread([this](const std::stop_token &stop) { run(stop); });
}

Watcher::~Watcher()
{
    thread_.request_stop();
    thread_.join();
    withdraw();
}

Watcher::Status Watcher::status() const
{
    Status status;
    std::optional<Facts> facts;
    {
        const std::scoped_lock lock(mutex_);
        status = status_;
        facts = facts_;
    }
    // Who has changed the rules and asks must not hear of the plan before, which the fast
    // path has left already; the thread may not have looked yet.
    if (status.state == "in force" && !(facts && still_true(*facts)))
        status.state = "reading";
    return status;
}

void Watcher::hold(milliseconds time)
{
    auto *state = reinterpret_cast<efw_offload *>(state_.data());
    const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(time).count();
    std::atomic_ref(state->until).store(now_ns() + static_cast<std::uint64_t>(ns));
}

void Watcher::withdraw()
{
    auto *state = reinterpret_cast<efw_offload *>(state_.data());
    std::atomic_ref(state->until).store(0);
}

bool Watcher::still_true(const Facts &facts)
{
    const auto generation = nft_generation();
    if (!generation || *generation != facts.generation)
        return false;
    const auto legacy = legacy_fingerprint();
    if (!legacy || *legacy != facts.legacy)
        return false;
    const auto links = read_links();
    if (!links || *links != facts.links)
        return false;
    auto host = host_of(*links);
    if (host) // a plan that reckons with connections need not know whether there are any
        host->conntrack = host->conntrack || facts.host.conntrack;
    return host && *host == facts.host;
}

Result<> Watcher::put_links(const std::vector<Link> &links)
{
    for (const __u32 old : links_.keys())
        links_.erase(old);
    for (const auto &l : links) {
        efw_link link{};
        std::copy(l.mac.begin(), l.mac.end(), link.address);
        if (auto r = links_.put(l.ifindex, link); !r)
            return r;
    }
    return Unit{};
}

// The host's facts are read before and after the rules: they are of the same moment.
Result<> Watcher::plan_anew()
{
    const auto begin = Clock::now();
    auto links = read_links();
    if (!links)
        return links.error();
    auto before = host_of(*links);
    if (!before)
        return before.error();
    auto rules = read_live();
    if (!rules)
        return rules.error();
    auto host = host_of(*links);
    if (!host)
        return host.error();
    before->conntrack = host->conntrack;
    if (!(*host == *before))
        return bad_input("addresses or routes changed while the rules were read");
    auto made = std::make_shared<const Plan>(plan(*rules, *host));
    host->conntrack = made->tracks;
    if (auto r = put_links(*links); !r)
        return r;
    if (auto r = put_(made); !r)
        return r;
    auto *state = reinterpret_cast<efw_offload *>(state_.data());
    std::atomic_ref(state->generation).store(rules->generation);

    const std::scoped_lock lock(mutex_);
    facts_ = Facts{rules->generation, rules->legacy, *std::move(links), *std::move(host)};
    status_.plan = std::move(made);
    status_.took = std::chrono::duration_cast<milliseconds>(Clock::now() - begin);
    ++status_.plans;
    return Unit{};
}

void Watcher::run(const std::stop_token &stop)
{
    std::mutex sleeping;
    std::condition_variable_any wake;
    while (!stop.stop_requested()) {
        bool good = facts_ && still_true(*facts_);
        std::string error;
        if (!good) {
            withdraw();
            {
                const std::scoped_lock lock(mutex_);
                facts_.reset();
                status_.state = "reading";
            }
            if (auto r = plan_anew(); !r)
                error = r.error().message();
            // What has changed meanwhile is seen before anything is offloaded.
            good = facts_ && still_true(*facts_);
        }
        if (good)
            hold(lease);
        {
            const std::scoped_lock lock(mutex_);
            status_.error = error;
            status_.state = good ? "in force" : error.empty() ? "reading" : "failed";
        }
        std::unique_lock lock(sleeping);
        wake.wait_for(lock, stop, period, [] { return false; });
    }
}

} // namespace evnf::efw::offload
