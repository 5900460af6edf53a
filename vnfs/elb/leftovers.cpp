// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/elb/leftovers.hpp"

#include <arpa/inet.h>

#include <algorithm>

namespace evnf::elb
{

namespace
{

constexpr std::uint32_t batch = 4096, sets = batch / ELB_OPENING_WAYS;
constexpr std::size_t ticks_of_pass = 40;
// How long packets may be under way, or chains of before live on, that still place connections
// by services of before.
constexpr std::chrono::seconds settled{5};

// Some entries of a table, at most `n`: where the next begin, or nothing at the end.
template <class K, class V, class F>
Result<std::optional<std::uint32_t>> read(const bpf::Map<K, V> &map, __u32 n,
                                          std::optional<std::uint32_t> from, F &&each)
{
    std::vector<K> keys(n);
    std::vector<V> values(n);
    __u32 next = 0;
    const bool more = bpf_map_lookup_batch(map.fd(), from ? &*from : nullptr, &next, keys.data(),
                                           values.data(), &n, nullptr) == 0;
    if (!more && errno != ENOENT)
        return sys_error("read the connections");
    std::for_each_n(values.begin(), n, each);
    return more ? std::optional(next) : std::nullopt;
}

// The openings of some sets.
template <class F>
Result<std::optional<std::uint32_t>> read(const OpeningSets &map, std::optional<std::uint32_t> from,
                                          F &&each)
{
    return read(map, sets, from, [&](const elb_opening_set &set) {
        for (std::size_t way = 0; way < ELB_OPENING_WAYS; ++way)
            if (set.tags[way])
                each(set.entries[way].opening);
    });
}

Result<bool> any(const OpeningSets &map)
{
    bool found = false;
    std::optional<std::uint32_t> from;
    do {
        auto next = read(map, from, [&](const elb_opening &) { found = true; });
        if (!next)
            return next.error();
        from = *next;
    } while (from && !found);
    return found;
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
    auto openings = OpeningSets::bind(maps, "elb_openings");
    if (!openings)
        return openings.error();
    auto conns = Conns::bind(maps, "elb_conns");
    if (!conns)
        return conns.error();
    auto opening = any(*openings);
    if (!opening)
        return opening.error();
    auto sets_all = bpf::entries_of(openings->fd()), conns_all = bpf::entries_of(conns->fd());
    if (!sets_all || !conns_all)
        return sets_all ? conns_all.error() : sets_all.error();
    Leftovers out(*openings, *conns, std::size_t{*sets_all} * ELB_OPENING_WAYS + *conns_all);
    flow_key first{};
    if (*opening || bpf_map_get_next_key(conns->fd(), nullptr, &first) == 0)
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
        auto next = pass_->in_conns ? read(conns_, batch, pass_->from, look_at)
                                    : read(openings_, pass_->from, look_at);
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
