// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/nexthops.hpp"

#include <time.h>

#include <algorithm>
#include <cstring>

#include "base/log.hpp"

namespace evnf
{

namespace
{

using namespace std::chrono_literals;

constexpr auto sweep_every = 2s;
constexpr unsigned misses_per_sweep = 20000; // some tens of microseconds each
constexpr std::uint32_t answer_lives = 30;   // seconds that an answer is good without us
constexpr std::uint32_t refresh_below = 20;  // seconds left at which it is renewed
constexpr std::uint32_t idle_forgets = 120;  // seconds after which an unused answer goes
constexpr unsigned sweeps_per_probe = 5;     // how often used neighbours are confirmed

std::uint32_t now()
{
    timespec t{};
    ::clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return static_cast<std::uint32_t>(t.tv_sec);
}

} // namespace

void NextHops::RingDestroy::operator()(ring_buffer *r) const
{
    ring_buffer__free(r);
}

Result<std::unique_ptr<NextHops>> NextHops::create(Loop &loop, Rtnl &rtnl,
                                                   std::function<void()> on_links_changed)
{
    // Subscribed before anything is asked, so that no change falls between.
    auto monitor = RtnlMonitor::open();
    if (!monitor)
        return monitor.error();
    auto timer = timer_fd(sweep_every);
    if (!timer)
        return timer.error();
    std::unique_ptr<NextHops> n(new NextHops(loop, rtnl, std::move(on_links_changed),
                                             *std::move(monitor), *std::move(timer)));
    if (auto r = n->start(); !r)
        return r.error();
    return n;
}

NextHops::NextHops(Loop &loop, Rtnl &rtnl, std::function<void()> on_links_changed,
                   RtnlMonitor monitor, Fd timer)
    : loop_(loop),
      rtnl_(rtnl),
      on_links_changed_(std::move(on_links_changed)),
      monitor_(std::move(monitor)),
      timer_(std::move(timer))
{
}

NextHops::~NextHops() = default;

Result<> NextHops::start()
{
    misses_left_ = misses_per_sweep;
    auto monitor = loop_.watch(monitor_.fd(), [this]() -> Result<> {
        return monitor_.read({
            .neighbour =
                [this](unsigned ifindex, const Address &a) {
                    neighbour_changed({ifindex, a});
                },
            .routing = [this] { routing_changed(); },
            .lost = [this] { routing_changed(); },
        });
    });
    if (!monitor)
        return monitor.error();
    monitor_watch_ = *std::move(monitor);
    auto timer = loop_.watch(timer_.get(), [this]() -> Result<> {
        read_timer(timer_);
        sweep();
        return Unit{};
    });
    if (!timer)
        return timer.error();
    timer_watch_ = *std::move(timer);
    return Unit{};
}

Result<> NextHops::serve(const bpf::MapSet &maps, std::map<unsigned, Link> ports)
{
    auto table = Table::bind(maps, "nexthops");
    if (!table)
        return table.error();
    auto changes = Changes::bind(maps, "nexthop_changes");
    if (!changes)
        return changes.error();
    auto events = maps.fd("events");
    if (!events)
        return events.error();
    std::unique_ptr<ring_buffer, RingDestroy> ring(
        ring_buffer__new(*events, on_event, this, nullptr));
    if (!ring)
        return sys_error("read the ring buffer of events");
    ring_watch_ = {};
    ring_ = std::move(ring);
    auto watch = loop_.watch(ring_buffer__epoll_fd(ring_.get()), [this]() -> Result<> {
        ring_buffer__consume(ring_.get());
        return Unit{};
    });
    if (!watch)
        return watch.error();
    ring_watch_ = *std::move(watch);

    table_ = *table;
    changes_ = *changes;
    ports_ = std::move(ports);
    look_at_settings();
    for (auto it = answers_.begin(); it != answers_.end();) {
        const auto &[destination, answer] = *it++;
        if (answer.hop && !ports_.contains(answer.hop->ifindex))
            forget(destination);
        else if (auto r = table_->put(destination.raw(), answer.value); !r)
            return r;
    }
    return Unit{};
}

int NextHops::on_event(void *self, void *data, std::size_t size)
{
    event e{};
    if (size < sizeof e)
        return 0;
    std::memcpy(&e, data, sizeof e);
    if (e.type == EVENT_NEXTHOP_MISS)
        static_cast<NextHops *>(self)->on_miss(Address(e.addr));
    return 0;
}

void NextHops::on_miss(const Address &destination)
{
    if (misses_left_ == 0)
        return; // stays pending: sweep_pending() comes back to it
    --misses_left_;
    resolve(destination);
}

// Finds the answer, or leaves the entry pending: then the fast path goes on asking the
// kernel's FIB, which is right, if slower.
void NextHops::resolve(const Address &destination)
{
    if (policy_rules_ || !(destination.is_v4() ? forwards_v4_ : forwards_v6_))
        return;
    auto route = rtnl_.route_to(destination);
    Answer answer{.value = {}, .hop = std::nullopt, .last_used = now()};
    answer.value.expires = now() + answer_lives;
    answer.value.used = 1;
    const bool forwarded = route && route->kind == RouteAnswer::Kind::unicast;
    if (!forwarded || !ports_.contains(route->ifindex)) {
        answer.value.state = NEXTHOP_SLOW;
        keep(destination, answer);
        return;
    }
    if (route->multipath)
        return;
    const Link &port = ports_.at(route->ifindex);
    answer.hop = Hop{route->ifindex, route->gateway.value_or(destination)};
    auto neighbour = rtnl_.neighbour(answer.hop->ifindex, answer.hop->address);
    if (!neighbour || !neighbour->valid) {
        if (auto r = rtnl_.probe(answer.hop->ifindex, answer.hop->address); !r)
            log_warning("resolve " + answer.hop->address.text(), r.error(),
                        {{"destination", answer.hop->address.text()}});
        answer.value.state = NEXTHOP_PENDING;
        keep(destination, answer); // neighbour_changed() completes it
        return;
    }
    answer.value.state = route->gateway ? NEXTHOP_BY_ROUTER : NEXTHOP_RESOLVED;
    answer.value.ifindex = route->ifindex;
    answer.value.mtu =
        static_cast<__u16>(std::min<std::uint32_t>(route->mtu ? route->mtu : port.mtu, 65535));
    std::copy(port.mac.begin(), port.mac.end(), answer.value.smac);
    std::copy(neighbour->mac.begin(), neighbour->mac.end(), answer.value.dmac);
    keep(destination, answer);
}

void NextHops::keep(const Address &destination, Answer answer)
{
    if (table_) {
        if (auto r = table_->put(destination.raw(), answer.value); !r) {
            log_warning("next hop of " + destination.text(), r.error(),
                        {{"destination", destination.text()}});
            return;
        }
        tell_of_change();
    }
    if (answer.hop)
        by_hop_[*answer.hop].insert(destination);
    answers_.insert_or_assign(destination, std::move(answer));
}

// To be called after the change.
void NextHops::tell_of_change()
{
    if (auto r = changes_->put(0, ++change_); !r)
        log_warning("tell the fast path of changed next hops", r.error());
}

void NextHops::forget(const Address &destination)
{
    const auto it = answers_.find(destination);
    if (it == answers_.end())
        return;
    if (const auto &hop = it->second.hop) {
        auto users = by_hop_.find(*hop);
        users->second.erase(destination);
        if (users->second.empty())
            by_hop_.erase(users);
    }
    if (table_) {
        table_->erase(destination.raw());
        tell_of_change();
    }
    answers_.erase(it);
}

void NextHops::neighbour_changed(const Hop &hop)
{
    const auto users = by_hop_.find(hop);
    if (users == by_hop_.end())
        return;
    auto neighbour = rtnl_.neighbour(hop.ifindex, hop.address);
    const bool valid = neighbour && neighbour->valid;
    const auto destinations = users->second; // resolve() and forget() change the original
    for (const auto &destination : destinations) {
        const auto &value = answers_.at(destination).value;
        const bool resolved = value.state != NEXTHOP_PENDING; // NEXTHOP_SLOW has no hop
        if (valid && resolved &&
            std::equal(neighbour->mac.begin(), neighbour->mac.end(), value.dmac))
            continue; // only its state changed
        const auto last_used = answers_.at(destination).last_used;
        forget(destination);
        // A failed neighbour is not asked for again by us: a packet for it would.
        if (valid)
            resolve(destination);
        if (auto it = answers_.find(destination); it != answers_.end())
            it->second.last_used = last_used;
    }
}

// Any answer may be wrong now. Taking all away is cheap and at once right: the fast
// path asks the kernel until the new answers are there.
void NextHops::routing_changed()
{
    std::vector<Address> destinations;
    for (const auto &[destination, answer] : answers_)
        destinations.push_back(destination);
    for (const auto &destination : destinations)
        forget(destination);
    look_at_settings();
    on_links_changed_();
}

// What would make an answer wrong for some packets: then none is kept, and the kernel is
// asked about each packet, with its source, its way in and the settings there.
void NextHops::look_at_settings()
{
    forwards_v4_ = forwards(4);
    forwards_v6_ = forwards(6);
    auto rules = rtnl_.has_policy_rules();
    const bool found = !rules || *rules;
    if (found && !policy_rules_)
        log_info("routing rules beyond the default ones: every packet's next hop is asked of "
                 "the kernel, not remembered");
    policy_rules_ = found;
}

bool NextHops::forwards(int family) const
{
    return std::all_of(ports_.begin(), ports_.end(), [&](const auto &port) {
        return interface_setting(family == 4 ? "ipv4" : "ipv6", port.second.name, "forwarding");
    });
}

// Renews what is in use, forgets what is not, and has the kernel confirm neighbours:
// it does not see the packets that pass by XDP, and would think them idle.
void NextHops::sweep()
{
    misses_left_ = misses_per_sweep;
    ++sweeps_;
    if (!table_)
        return;
    const std::uint32_t t = now();
    std::set<Hop> in_use;
    for (auto it = answers_.begin(); it != answers_.end();) {
        const Address destination = it->first;
        Answer &answer = it->second;
        ++it; // forget() below takes this one out
        auto live = table_->get(destination.raw());
        if (!live) { // pushed out by newer ones
            forget(destination);
            continue;
        }
        if (live->used)
            answer.last_used = t;
        if (t - answer.last_used > idle_forgets) {
            forget(destination);
            continue;
        }
        if (answer.hop && live->used)
            in_use.insert(*answer.hop);
        if (live->used || answer.value.expires < t + refresh_below) {
            answer.value.expires = t + answer_lives;
            answer.value.used = 0;
            if (auto r = table_->put(destination.raw(), answer.value, BPF_EXIST); !r)
                forget(destination);
        }
    }
    tell_of_change(); // so that "used" is set again where they are
    if (sweeps_ % sweeps_per_probe == 0) {
        for (const auto &hop : in_use)
            if (auto r = rtnl_.probe(hop.ifindex, hop.address); !r)
                neighbour_changed(hop);
        sweep_pending();
    }
}

// Misses whose event was lost, or that came in a flood.
void NextHops::sweep_pending()
{
    for (const auto &key : table_->keys()) {
        const Address destination(key);
        if (answers_.contains(destination))
            continue;
        if (const auto entry = table_->get(key); entry && entry->state == NEXTHOP_PENDING)
            on_miss(destination);
    }
}

NextHops::Counts NextHops::counts() const
{
    Counts c;
    for (const auto &[destination, answer] : answers_) {
        switch (answer.value.state) {
        case NEXTHOP_RESOLVED:
        case NEXTHOP_BY_ROUTER:
            ++c.resolved;
            break;
        case NEXTHOP_SLOW:
            ++c.slow;
            break;
        default:
            ++c.pending;
        }
    }
    return c;
}

} // namespace evnf
