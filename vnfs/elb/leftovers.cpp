// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/elb/leftovers.hpp"

#include <arpa/inet.h>

#include <algorithm>

namespace evnf::elb
{

namespace
{

constexpr std::uint32_t batch = 4096;
constexpr std::size_t ticks_of_pass = 40;
// How long packets may be under way, or chains of before live on, that still place connections
// by services of before.
constexpr std::chrono::seconds settled{5};

// One batch of a table: where the next begins, or nothing at the end.
template <class V, class F>
Result<std::optional<std::uint32_t>> read(int fd, std::optional<std::uint32_t> from, F &&each)
{
    std::vector<flow_key> keys(batch);
    std::vector<V> values(batch);
    __u32 n = batch, next = 0;
    const bool more = bpf_map_lookup_batch(fd, from ? &*from : nullptr, &next, keys.data(),
                                           values.data(), &n, nullptr) == 0;
    if (!more && errno != ENOENT)
        return sys_error("read the connections");
    std::for_each_n(values.begin(), n, each);
    return more ? std::optional(next) : std::nullopt;
}

Result<std::size_t> size_of(int fd)
{
    bpf_map_info info{};
    __u32 length = sizeof info;
    if (bpf_obj_get_info_by_fd(fd, &info, &length))
        return sys_error("look at a map of connections");
    return std::size_t{info.max_entries};
}

// An id alone is not enough: with few free ones, that of a backend that goes is soon another's.
using Known = std::set<std::pair<unsigned, Endpoint>>;

Known known_in(const std::vector<Service> &services)
{
    Known out;
    for (const auto &s : services)
        for (const auto &b : s.backends)
            out.emplace(b.id, b.endpoint);
    return out;
}

// The ports of a host that a backend's packets come from.
Ports ports_of(const Service &s, const Backend &b)
{
    return b.endpoint.port ? Ports(b.endpoint.port) : s.ports;
}

} // namespace

Result<Leftovers> Leftovers::bind(const bpf::MapSet &maps)
{
    auto openings = Openings::bind(maps, "elb_openings");
    if (!openings)
        return openings.error();
    auto conns = Conns::bind(maps, "elb_conns");
    if (!conns)
        return conns.error();
    auto opening_size = size_of(openings->fd());
    if (!opening_size)
        return opening_size.error();
    auto conn_size = size_of(conns->fd());
    if (!conn_size)
        return conn_size.error();
    Leftovers out(*openings, *conns, *opening_size + *conn_size);
    flow_key first{};
    if (bpf_map_get_next_key(openings->fd(), nullptr, &first) == 0 ||
        bpf_map_get_next_key(conns->fd(), nullptr, &first) == 0)
        out.anywhere(std::chrono::steady_clock::now());
    return out;
}

void Leftovers::gone(const std::vector<Service> &before, const std::vector<Service> &wanted,
                     Time now)
{
    const Known stay = known_in(wanted);
    for (const auto &s : before)
        for (const auto &b : s.backends)
            if (!stay.contains({b.id, b.endpoint}))
                suspects_[b.endpoint.address] = now;
}

bool Leftovers::at(const Address &host) const
{
    return anywhere_ || suspects_.contains(host);
}

bool Leftovers::end_pass()
{
    const auto settled_by = [&](Time since) { return since + settled <= pass_->began; };
    bool fewer = anywhere_ && settled_by(*anywhere_);
    if (fewer)
        anywhere_.reset();
    for (const auto &host : pass_->found)
        suspects_.emplace(host, pass_->began);
    fewer |= std::erase_if(suspects_, [&](const auto &suspect) {
                 return settled_by(suspect.second) && !pass_->found.contains(suspect.first);
             }) > 0;
    pass_.reset();
    return fewer;
}

Result<bool> Leftovers::tick(const std::vector<Service> &in_force, Time now)
{
    if (idle())
        return false;
    const Known known = known_in(in_force);
    if (!pass_)
        pass_ = Pass{now, false, {}, {}};
    const auto look_at = [&](const auto &entry) {
        const Address host(entry.addr);
        if (entry.rewrite == ELB_TO_BACKEND &&
            !known.contains({entry.backend, {host, ntohs(entry.port)}}) &&
            !known.contains({entry.backend, {host, 0}}))
            pass_->found.insert(host);
    };
    for (std::size_t seen = 0; seen < size_ / ticks_of_pass + batch; seen += batch) {
        auto next = pass_->in_conns ? read<elb_conn>(conns_.fd(), pass_->from, look_at)
                                    : read<elb_opening>(openings_.fd(), pass_->from, look_at);
        if (!next)
            return next.error();
        pass_->from = *next;
        if (*next)
            continue;
        if (pass_->in_conns)
            return end_pass();
        pass_->in_conns = true;
    }
    return false;
}

std::set<std::string> alone(const std::vector<Service> &services, const Leftovers &leftovers)
{
    struct Way {
        std::string service;
        Ports ports;
    };
    std::map<std::pair<Address, std::uint8_t>, std::vector<Way>> hosts;
    std::set<std::string> others; // than those asked for
    for (const auto &s : services) {
        const std::string name = s.name();
        if (s.forwarding.how != ELB_NAT ||
            !(s.choice == Choice())) // nor does place_alone() look for more than slots
            others.insert(name);
        for (const auto &b : s.backends) {
            hosts[{b.endpoint.address, s.protocol}].push_back({name, ports_of(s, b)});
            if (leftovers.at(b.endpoint.address) || (b.endpoint.port && !s.ports.one()))
                others.insert(name);
        }
    }
    for (const auto &[host, ways] : hosts)
        for (const auto &mine : ways)
            if (std::any_of(ways.begin(), ways.end(), [&](const Way &theirs) {
                    return theirs.service != mine.service && mine.ports.overlap(theirs.ports);
                }))
                others.insert(mine.service);
    std::set<std::string> out;
    for (const auto &s : services)
        if (!others.contains(s.name()))
            out.insert(s.name());
    return out;
}

} // namespace evnf::elb
