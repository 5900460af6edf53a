// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "abi/chain.h"
#include "abi/nexthop.h"
#include "base/bpf.hpp"
#include "base/loop.hpp"
#include "base/rtnl.hpp"

struct ring_buffer;

namespace evnf
{

// The slow path of the forwarder: keeps the map of next hops true to the kernel's
// routes, links and neighbours. A miss in the fast path is answered once; whatever
// changes in the kernel takes the answers that it could concern away, and the fast path
// asks bpf_fib_lookup() meanwhile. Each answer has an end, so that those of a dead
// daemon are not believed for long.
class NextHops
{
public:
    struct Counts {
        std::size_t resolved = 0, slow = 0, pending = 0;
    };

    // `on_links_changed` is told when interfaces may have come, gone or changed.
    static Result<std::unique_ptr<NextHops>> create(Loop &loop, Rtnl &rtnl,
                                                    std::function<void()> on_links_changed);
    ~NextHops();
    NextHops(const NextHops &) = delete;
    NextHops &operator=(const NextHops &) = delete;

    // Serves another generation's maps from now on. What is known is put into its map.
    // `ports` are the interfaces that it may transmit on.
    Result<> serve(const bpf::MapSet &maps, std::map<unsigned, Link> ports);

    [[nodiscard]] Counts counts() const;

private:
    struct Hop { // a neighbour, on an interface
        unsigned ifindex;
        Address address;
        auto operator<=>(const Hop &) const = default;
    };
    struct Answer {
        nexthop value;
        std::optional<Hop> hop; // none for the kernel's own destinations
        std::uint32_t last_used;
    };
    using Table = bpf::Map<ip_addr, nexthop>;
    using Changes = bpf::Map<__u32, __u32>;

    NextHops(Loop &loop, Rtnl &rtnl, std::function<void()> on_links_changed, RtnlMonitor monitor,
             Fd timer);
    Result<> start();

    void on_miss(const Address &destination);
    void resolve(const Address &destination);
    void keep(const Address &destination, Answer answer);
    void forget(const Address &destination);
    void tell_of_change();
    void neighbour_changed(const Hop &hop);
    void routing_changed();
    void look_at_settings();
    [[nodiscard]] bool forwards(int family) const;
    void sweep();
    void sweep_pending();
    static int on_event(void *self, void *data, std::size_t size);

    Loop &loop_;
    Rtnl &rtnl_;
    std::function<void()> on_links_changed_;
    RtnlMonitor monitor_;
    Fd timer_;

    std::map<unsigned, Link> ports_; // by ifindex
    std::map<Address, Answer> answers_;
    std::map<Hop, std::set<Address>> by_hop_;
    bool policy_rules_ = false;                      // then the destination alone decides nothing
    bool forwards_v4_ = false, forwards_v6_ = false; // all ports do, by their settings
    unsigned sweeps_ = 0;
    unsigned misses_left_ = 0; // until the next sweep: a flood of misses must not stop the loop

    std::optional<Table> table_;
    std::optional<Changes> changes_; // where there is a table_
    __u32 change_ = 0;
    struct RingDestroy {
        void operator()(ring_buffer *r) const;
    };
    std::unique_ptr<ring_buffer, RingDestroy> ring_;
    // Last: they name descriptors of the members above.
    Loop::Watch monitor_watch_, timer_watch_, ring_watch_;
};

} // namespace evnf
